"""Errors over HTTP: `application/problem+json` (RFC 9457), in words that say what to do."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from registry.errors import local_remedy
from services.search.batcher import EndingError, OverloadedError


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
    400: "The body, or a header, is not what it should be.",
    401: "There is no key that counts.",
    403: "You may not.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It is there already, or was changed meanwhile.",
    413: "The body is too large.",
    416: "The picture has no such part.",
    422: "A field is wrong.",
    429: "Too many requests wait, or more was asked for than the key allows.",
    503: "The service starts or ends.",
    504: "The time for an answer is over.",
    507: "The service's disk is full, or cannot be written.",
}


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What was wrong, and what to do (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong this time."},
        "errors": {
            "type": "array",
            "description": "Each field that is wrong.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI description says of a call's errors; `install_openapi` brings the schema."""
    schema = {"$ref": f"#/components/schemas/{SCHEMA['title']}"}
    form: dict[str, Any] = {"content": {"application/problem+json": {"schema": schema}}}
    return {status: {"description": _WORDS[status], **form} for status in statuses}


def install_problems(app: FastAPI) -> None:
    """Give every error of an application this form."""
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(OverloadedError)(_overloaded)
    app.exception_handler(OperationalError)(_unwritable)


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
    if isinstance(error, EndingError):
        return problem(503, str(error), {"Retry-After": "2"})
    return problem(429, str(error), {"Retry-After": "1"})


async def _unwritable(_: Request, error: OperationalError) -> JSONResponse:
    """What the database could not write; any other of its errors is the service's own."""
    if remedy := local_remedy(error):
        return problem(507, f"nothing was stored: {remedy}")
    raise error
