"""`/v1/search` and `/v1/embed`."""

import math
import time
from urllib.parse import quote

from fastapi import APIRouter, Response
from starlette.exceptions import HTTPException

from registry.bundle import Product
from services.concepts import UnknownConceptError
from services.messages import (
    EmbedMessage,
    FoundMessage,
    HitMessage,
    SearchMessage,
    VectorsMessage,
)
from services.problems import problems
from services.queries import Found, Query
from services.routes.asker import Who

router = APIRouter(prefix="/v1", tags=["search"])


@router.post("/search", response_model=FoundMessage, responses=problems(400, 422, 503))
async def search(message: SearchMessage, who: Who) -> Response:
    """Search the catalogue by a text; `{name}` in it is one of your concepts."""
    began = time.perf_counter()
    query = Query(message.query, message.k, message.filter.to_filter(), message.model)
    try:
        found, asked = await who.concepts.search(who.tenant.id, query)
    except (UnknownConceptError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    return _answer(found, asked, began)


@router.post("/embed", responses=problems(400, 422, 503))
async def embed(message: EmbedMessage, who: Who) -> VectorsMessage:
    """Unit vectors of texts, by the version that serves."""
    answer = await who.live.embed(message.texts)
    return VectorsMessage(
        vectors=answer.vectors_ND.tolist(),
        model_version=str(answer.version.number),
        bundle_sha256=answer.version.digest,
    )


def _answer(found: Found, query: Query, began: float) -> Response:
    digest = found.version.digest
    answer = FoundMessage(
        hits=[_hit(product, score, digest) for product, score in found.hits],
        model_version=str(found.version.number),
        bundle_sha256=digest,
        model=query.model,
        concepts=[concept.name for concept in query.concepts],
        took_ms=round(1000 * (time.perf_counter() - began), 3),
        warnings=list(found.warnings),
    )
    # It was valid when it was made; FastAPI would check it once more.
    return Response(answer.model_dump_json(), media_type="application/json")


def _hit(product: Product, score: float, digest: str) -> HitMessage:
    return HitMessage(
        product_id=product.product_id,
        title=product.title,
        category=product.category,
        price=None if math.isnan(product.price) else product.price,
        score=score,
        image_url=f"/images/{quote(product.product_id, safe='')}?v={digest[:16]}",
    )
