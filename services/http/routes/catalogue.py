"""The version that serves, and its products' pictures."""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from services.http.model_description import describe, drift_of
from services.http.problems import problems
from services.http.routes.asker import Who
from services.http.routes.stored_picture import stored_picture
from services.search.live import Live
from services.sharing.feedback import is_allowed

router = APIRouter(tags=["catalogue"])


@router.get("/v1/model")
async def model(who: Who) -> dict[str, Any]:
    """The version that serves: lineage, metrics, catalogue, and the state of a swap.

    `feedback` says whether yours is kept, `drift` how queries differ from held-out wishes.
    """
    drift = await run_in_threadpool(drift_of, who.live.engine)
    return {**describe(who.live), "feedback": is_allowed(who.tenant), "drift": drift}


@router.get(
    "/images/{product_id:path}",
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/jpeg": {}}},
        206: {"description": "A part of it.", "content": {"image/jpeg": {}}},
        304: {"description": "It has not changed."},
        **problems(404, 416, 422),
    },
)
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
    return stored_picture(request, picture, lasting)
