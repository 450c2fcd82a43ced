"""The description at `/openapi.json`: it asks for a key where the service does; how errors look."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer

from services.http.problems import SCHEMA

KEY = Security(HTTPBearer(auto_error=False, description="A key of `kindred keys add`."))


def install_openapi(app: FastAPI) -> None:
    """Give an application this description; it wants `keys` in the application's state."""
    whole: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        described = whole()
        described["components"]["schemas"][SCHEMA["title"]] = SCHEMA
        return described if app.state.keys.required else _unlocked(described)

    app.openapi = openapi  # type: ignore[method-assign]


def _unlocked(described: dict[str, Any]) -> dict[str, Any]:
    paths = {
        path: {
            method: {key: value for key, value in call.items() if key != "security"}
            for method, call in calls.items()
        }
        for path, calls in described["paths"].items()
    }
    return {**described, "paths": paths}
