"""Pictures that are uploaded: bounded, and refused by name."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import UploadFile
from starlette.exceptions import HTTPException

from retrieval.images import PictureError

MOST_BYTES = 10_000_000  # a picture
T = TypeVar("T")


async def read_upload(upload: UploadFile, what: str, use: Callable[[bytes], Awaitable[T]]) -> T:
    """What `use` makes of a picture's bytes.

    Raises:
        HTTPException: It is too large, or no picture; it is named as `what` and by its file.
    """
    name = f"{what} ({upload.filename or 'without a name'})"
    content = await upload.read(MOST_BYTES + 1)
    if not content:
        raise HTTPException(422, f"{name} is empty (0 bytes)")
    if len(content) > MOST_BYTES:
        raise HTTPException(422, f"{name} has over 10 MB; scale it down")
    try:
        return await use(content)
    except PictureError as error:
        raise HTTPException(422, f"{name} {error}") from error
