"""Errors over HTTP: `application/problem+json` (RFC 9457), in words that say what to do."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from services.batcher import OverloadedError

_LOG = logging.getLogger(__name__)


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, **more: object
) -> JSONResponse:
    """An error response; `title` is the status in words, `detail` what was wrong this time."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    return JSONResponse(
        {**content, "detail": detail, **more},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


_WORDS = {
    400: "The body is not what it should be.",
    403: "You may not.",
    404: "There is no such thing.",
    409: "It is there already, or was changed meanwhile.",
    413: "The body is too large.",
    416: "The picture has no such part.",
    422: "A field is wrong.",
    503: "Too many requests wait.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI description says of a call's errors."""
    form: dict[str, Any] = {"content": {"application/problem+json": {}}}
    return {status: {"description": _WORDS[status], **form} for status in statuses}


def install_problems(app: FastAPI) -> None:
    """Give every error of an application this form."""
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(OverloadedError)(_overloaded)
    app.exception_handler(Exception)(_failed)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    faults = [
        {"field": ".".join(str(part) for part in fault["loc"]), "message": fault["msg"]}
        for fault in error.errors()
    ]
    detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
    return problem(422, f"{detail}. /openapi.json describes each field", errors=faults)


async def _refused(_: Request, error: HTTPException) -> JSONResponse:
    headers = dict(error.headers) if error.headers else None
    return problem(error.status_code, str(error.detail), headers)


async def _overloaded(_: Request, error: OverloadedError) -> JSONResponse:
    return problem(503, str(error), {"Retry-After": "1"})


async def _failed(request: Request, error: Exception) -> JSONResponse:
    _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem(500, "something went wrong in the service; its log says what")
