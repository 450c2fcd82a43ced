"""The HTTP application, put together from its routes. BentoML mounts it at `/`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.engine import Engine as Database
from starlette.types import Lifespan

from services.http.balance import Balance, Shares
from services.http.bodies import BodyLimits
from services.http.deadlines import Deadlines
from services.http.gate import Gate
from services.http.head import HeadAsGet
from services.http.headers import ContentPolicy
from services.http.meter import Meter
from services.http.metrics import CONTENT_TYPE, Metrics, is_worker
from services.http.openapi import KEY, install_openapi
from services.http.problems import install_problems, problems
from services.http.requests import Requests
from services.http.routes import catalogue, concepts, feedback, search, session
from services.search.live import Live, of_service
from services.search.processes import Notices
from services.sharing.concepts import Concepts
from services.sharing.keys import Keys
from services.store.concepts import ConceptStore
from services.store.database import open_database
from services.store.feedback import FeedbackStore
from services.store.keys import KeyStore

PAGE = Path(__file__).parents[1] / "page"


def create_app(
    live: Live,
    database: Callable[[], Database] = open_database,
    *,
    own_machine: bool = False,
) -> FastAPI:
    """An application over what is live.

    Args:
        live: What is served; nothing is loaded before `live.start`.
        database: Opens the service's database, when the application starts.
        own_machine: Answer this machine alone as long as there are no keys. `kindred serve` needs
            no such thing: it listens to nobody else then.
    """
    app = FastAPI(
        title="Kindred",
        description="Image search by what a text means to someone.",
        version="1",
        lifespan=_lifespan(live, database),
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.live, app.state.own_machine = live, own_machine
    for middleware in (BodyLimits, Deadlines, Gate, Requests, ContentPolicy, Balance, HeadAsGet):
        app.add_middleware(middleware)  # the last one is the first that a request meets
    install_problems(app)
    install_openapi(app)
    _add_routes(app)
    return app


def _lifespan(live: Live, database: Callable[[], Database]) -> Lifespan[FastAPI]:
    """What the application opens when it starts, and lets go of when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = await asyncio.to_thread(database)
        store = KeyStore(opened)
        keys, meter = Keys(store), Meter(store)
        await asyncio.to_thread(keys.refresh)
        app.state.keys, app.state.meter = keys, meter
        app.state.metrics = live.watcher = Metrics.of_worker(of_service("metrics"))
        app.state.concepts = Concepts(live, ConceptStore(opened))
        app.state.feedback = FeedbackStore(opened)
        app.state.shares = shares = Shares(Notices(of_service("connections")))
        watches = [live.watch(), keys.watch(), meter.watch(lambda: keys.required)]
        if is_worker():
            watches += [shares.watch(), live.watch_drift(Notices(of_service("drift")))]
        watching = [asyncio.create_task(watch) for watch in watches]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            await asyncio.to_thread(live.close)
            opened.dispose()

    return lifespan


def _add_routes(app: FastAPI) -> None:
    for routes in (search, concepts, feedback, catalogue):
        app.include_router(
            routes.router,
            dependencies=[KEY],
            responses=problems(400, 401, 403, 408, 413, 429, 504),
        )
    app.include_router(session.router)
    app.get("/metrics", include_in_schema=False)(metrics)
    app.get("/", include_in_schema=False)(page)
    app.get("/favicon.ico", include_in_schema=False)(icon)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")


async def page() -> FileResponse:
    """The web page."""
    return FileResponse(PAGE / "index.html")


async def icon() -> FileResponse:
    """The page's icon, for who asks for it where browsers look by default."""
    return FileResponse(PAGE / "icon.svg", media_type="image/svg+xml")


async def metrics(request: Request) -> Response:
    """Prometheus's numbers."""
    state = request.app.state
    version = state.live.engine.version
    concepts = await asyncio.to_thread(state.concepts.store.count)
    drift = await asyncio.to_thread(state.live.engine.drift.report)
    text = await asyncio.to_thread(
        state.metrics.text, version.number, version.digest, concepts, drift
    )
    return Response(text, headers={"Content-Type": CONTENT_TYPE})
