"""A picture from memory as HTTP has it: an ETag, 304 where it is known already, and byte ranges.

Starlette's FileResponse does this for files alone.
"""

import hashlib
import re

from fastapi import Request, Response

from services.http.problems import problem

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def stored_picture(request: Request, jpeg: bytes, cache: str) -> Response:
    """The answer to a request for a picture.

    Args:
        request: Its conditions are heeded: If-None-Match, If-Range, Range (of one part; where
            several are asked for, all of it is sent).
        jpeg: The picture.
        cache: The header Cache-Control.
    """
    tag = f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": cache, "Accept-Ranges": "bytes"}
    if _is_known(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    part = _part(request, tag, len(jpeg))
    if part is None:
        return Response(jpeg, media_type="image/jpeg", headers=headers)
    if not part:
        asked = request.headers["range"]
        detail = f"got Range {asked}, and the picture has {len(jpeg)} bytes"
        return problem(416, detail, {**headers, "Content-Range": f"bytes */{len(jpeg)}"})
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(jpeg)}"
    return Response(jpeg[part.start : part.stop], 206, headers, "image/jpeg")


def _is_known(tags: str, tag: str) -> bool:
    known = [one.strip().removeprefix("W/") for one in tags.split(",")]
    return tag in known or "*" in known


def _part(request: Request, tag: str, size: int) -> range | None:
    """The bytes asked for; none of them where it has no such part; None for all of it."""
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or asked.groups() == ("", "") or request.headers.get("if-range", tag) != tag:
        return None
    first, last = asked.groups()
    if not first:
        return range(max(size - int(last), 0), size)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return None  # no range at all, so it is ignored
    return range(int(first), max(stop, int(first)))
