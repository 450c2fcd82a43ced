"""The HTTP application, put together from its routes. BentoML mounts it at `/`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.engine import Engine as Database

from services.concepts import Concepts
from services.head import HeadAsGet
from services.headers import ContentPolicy
from services.live import Live
from services.problems import install_problems
from services.routes import catalogue, concepts, feedback, search
from services.store.concepts import ConceptStore
from services.store.database import open_database
from services.store.feedback import FeedbackStore

PAGE = Path(__file__).with_name("page")


def create_app(live: Live, database: Callable[[], Database] = open_database) -> FastAPI:
    """An application over what is live.

    Args:
        live: What is served; nothing is loaded before `live.start`.
        database: Opens the service's database, when the application starts.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        opened = await asyncio.to_thread(database)
        app.state.concepts = Concepts(live, ConceptStore(opened))
        app.state.feedback = FeedbackStore(opened)
        watching = asyncio.create_task(live.watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.to_thread(live.close)
            opened.dispose()

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
    app.add_middleware(HeadAsGet)
    install_problems(app)
    for routes in (search, concepts, feedback, catalogue):
        app.include_router(routes.router)
    app.get("/", include_in_schema=False)(page)
    app.get("/favicon.ico", include_in_schema=False)(icon)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def page() -> FileResponse:
    """The web page."""
    return FileResponse(PAGE / "index.html")


async def icon() -> FileResponse:
    """The page's icon, for who asks for it where browsers look by default."""
    return FileResponse(PAGE / "icon.svg", media_type="image/svg+xml")
