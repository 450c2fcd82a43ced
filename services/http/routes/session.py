"""`/v1/session`: a key in a cookie, for the page, whose pictures cannot bring a header."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints
from starlette.exceptions import HTTPException

from services.http.gate import CHALLENGE, COOKIE, NO_KEY
from services.http.messages import Message
from services.http.problems import problems
from services.sharing.keys import Keys

_MONTH = 30 * 24 * 3600  # seconds

router = APIRouter(prefix="/v1/session", tags=["session"])


class SessionMessage(Message):
    """Who begins a session."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=200)]


@router.post("", status_code=204, responses=problems(400, 401, 413, 422))
async def begin(message: SessionMessage, request: Request, response: Response) -> None:
    """Keep a key in a cookie that scripts cannot read and other sites cannot send."""
    keys: Keys = request.app.state.keys
    if keys.holder(message.key) is None:
        raise HTTPException(401, NO_KEY, CHALLENGE)
    if keys.required:
        response.set_cookie(
            COOKIE,
            message.key,
            _MONTH,
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )


@router.delete("", status_code=204)
async def end(request: Request, response: Response) -> None:
    """Forget the cookie; the key counts on."""
    response.delete_cookie(COOKIE, secure=_is_secure(request), httponly=True, samesite="strict")


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"
