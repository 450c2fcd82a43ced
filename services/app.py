"""The HTTP application: search, vectors, pictures, the page. BentoML mounts it at `/`."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from registry.bundle import Product
from services.queries import Query
from services.headers import ContentPolicy
from services.live import Live
from services.messages import (
    EmbedMessage,
    FoundMessage,
    HitMessage,
    SearchMessage,
    VectorsMessage,
)
from services.model_description import describe
from services.problems import install_problems

PAGE = Path(__file__).with_name("page")
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/problem+json": {}}}
    for status, words in (
        (400, "The body is no text."),
        (422, "A field is wrong."),
        (503, "Too many requests wait."),
    )
}
_NO_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/jpeg": {}}},
    404: {"description": "No such product.", "content": {"application/problem+json": {}}},
    422: _PROBLEMS[422],
}


def create_app(live: Live) -> FastAPI:
    """An application over what is live; nothing is loaded before `live.start`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(live.watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.to_thread(live.close)

    app = FastAPI(
        title="Kindred",
        description="Image search by what a text means to someone.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.live = live
    app.add_middleware(ContentPolicy)
    install_problems(app)
    _add_api(app)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def search(message: SearchMessage, request: Request) -> Response:
    """Search the catalogue by a text."""
    began = time.perf_counter()
    live: Live = request.app.state.live
    query = Query(message.query, message.k, message.filter.to_filter(), message.model)
    found = await live.searches.ask(query)
    digest = found.version.digest
    answer = FoundMessage(
        hits=[_hit(product, score, digest) for product, score in found.hits],
        model_version=str(found.version.number),
        bundle_sha256=digest,
        model=message.model,
        took_ms=round(1000 * (time.perf_counter() - began), 3),
        warnings=list(found.warnings),
    )
    # It was valid when it was made; FastAPI would check it once more.
    return Response(answer.model_dump_json(), media_type="application/json")


async def embed(message: EmbedMessage, request: Request) -> VectorsMessage:
    """Unit vectors of texts, by the version that serves."""
    live: Live = request.app.state.live
    answer = await live.embeddings.ask(message.texts)
    return VectorsMessage(
        vectors=answer.vectors_ND.tolist(),
        model_version=str(answer.version.number),
        bundle_sha256=answer.version.digest,
    )


async def model(request: Request) -> dict[str, Any]:
    """The version that serves: lineage, metrics, catalogue, and the state of a swap."""
    return describe(request.app.state.live)


async def image(
    product_id: str,
    request: Request,
    v: str | None = None,  # noqa: ARG001 -- part of the address: another version, another picture
) -> Response:
    """A product's picture."""
    live: Live = request.app.state.live
    picture = live.picture(product_id)
    if picture is None:
        raise HTTPException(404, f"got product {product_id!r}, which this version does not have")
    lasting = "public, max-age=31536000, immutable" if request.query_params.get("v") else "no-cache"
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": lasting})


async def page() -> FileResponse:
    """The web page."""
    return FileResponse(PAGE / "index.html")


def _add_api(app: FastAPI) -> None:
    app.post("/v1/search", response_model=FoundMessage, responses=_PROBLEMS)(search)
    app.post("/v1/embed", responses=_PROBLEMS)(embed)
    app.get("/v1/model")(model)
    app.get("/images/{product_id:path}", response_class=Response, responses=_NO_PICTURE)(image)
    app.get("/", include_in_schema=False)(page)


def _hit(product: Product, score: float, digest: str) -> HitMessage:
    return HitMessage(
        product_id=product.product_id,
        title=product.title,
        category=product.category,
        price=None if math.isnan(product.price) else product.price,
        score=score,
        image_url=f"/images/{quote(product.product_id, safe='')}?v={digest[:16]}",
    )
