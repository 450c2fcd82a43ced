"""`/v1/search`, `/v1/search/image` and `/v1/embed`."""

import math
import time
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Response, UploadFile
from pydantic import Json
from starlette.exceptions import HTTPException

from registry.bundle import Product
from services.http.explanation_messages import WhyMessage, why_message
from services.http.logs import note_query
from services.http.messages import (
    EmbedMessage,
    FoundMessage,
    HitMessage,
    PictureSearchMessage,
    SearchMessage,
    VectorsMessage,
    WantedMessage,
)
from services.http.problems import problems
from services.http.routes.asker import Asker, Who
from services.http.routes.uploads import read_upload
from services.search.explanation import Why
from services.search.queries import Found, Query, UnknownProductError
from services.sharing.concepts import UnknownConceptError

_AS_IT_COMES = PictureSearchMessage()

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/search", response_model=FoundMessage, responses=problems(400, 404, 422, 503))
async def search(message: SearchMessage, who: Who) -> Response:
    """Search the catalogue by a text, in which `{name}` is one of your concepts, or by a product.

    Pages of one search are in one order; equal scores are ordered by product id.
    """
    began = time.perf_counter()
    note_query(message.query or "")
    query = Query(message.query or "", like=message.like, **_wanted(message))
    if message.like is not None:
        return await _find(who, query, began)
    try:
        found, asked = await who.concepts.search(who.tenant.id, query)
    except (UnknownConceptError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    whys = None
    if message.explain and asked.reads_text:
        whys = await who.live.explain(asked, found)
        if whys is None:  # what was found is the last version's: once more, by the new one
            return await search(message, who)
    return _answer(found, asked, began, whys)


@router.post("/search/image", response_model=FoundMessage, responses=problems(400, 422, 503))
async def search_image(
    who: Who,
    picture: Annotated[
        UploadFile, File(description="JPEG, PNG, WebP or HEIC, up to 10 MB. It is not kept.")
    ],
    search: Annotated[
        Json[PictureSearchMessage],
        Form(
            description="JSON: as in `/v1/search`, without `query` and `like`.",
            json_schema_extra={"default": "{}"},
        ),
    ] = _AS_IT_COMES,
) -> Response:
    """Search the catalogue by a picture."""
    began = time.perf_counter()
    seen = await read_upload(picture, "picture", who.live.look)
    return await _find(who, Query("", picture=seen, **_wanted(search)), began)


@router.post("/embed", responses=problems(400, 422, 503))
async def embed(message: EmbedMessage, who: Who) -> VectorsMessage:
    """Unit vectors of texts, by the version that serves."""
    answer = await who.live.embed(message.texts)
    return VectorsMessage(
        vectors=answer.vectors_ND.tolist(),
        model_version=str(answer.version.number),
        bundle_sha256=answer.version.digest,
    )


def _wanted(message: WantedMessage) -> dict[str, Any]:
    """The fields of a `Query` that every search has."""
    return {
        "k": message.k,
        "offset": message.offset,
        "filter_": message.filter.to_filter(),
        "model": message.model,
        "mode": message.mode,
        "diversify": message.diversify,
    }


async def _find(who: Asker, query: Query, began: float) -> Response:
    """Answer a query that is no text."""
    try:
        return _answer(await who.live.searches.ask(query), query, began)
    except UnknownProductError as error:
        raise HTTPException(404, str(error)) from error


def _answer(
    found: Found, query: Query, began: float, whys: Sequence[Why] | None = None
) -> Response:
    digest = found.version.digest
    told = [why_message(why) for why in whys] if whys else [None] * len(found.hits)
    answer = FoundMessage(
        hits=[
            _hit(product, score, digest, why)
            for (product, score), why in zip(found.hits, told, strict=True)
        ],
        model_version=str(found.version.number),
        bundle_sha256=digest,
        model=query.model,
        concepts=[concept.name for concept in query.concepts],
        took_ms=round(1000 * (time.perf_counter() - began), 3),
        warnings=list(found.warnings),
    )
    # It was valid when it was made; FastAPI would check it once more.
    return Response(answer.model_dump_json(), media_type="application/json")


def _hit(product: Product, score: float, digest: str, why: WhyMessage | None) -> HitMessage:
    return HitMessage(
        product_id=product.product_id,
        title=product.title,
        category=product.category,
        price=None if math.isnan(product.price) else product.price,
        score=score,
        image_url=f"/images/{quote(product.product_id, safe='')}?v={digest[:16]}",
        why=why,
    )
