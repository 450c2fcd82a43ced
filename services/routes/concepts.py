"""`/v1/concepts`: teach, list, show, change, forget."""

import time
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Response, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from retrieval.images import PictureError
from services.concept_messages import ConceptMessage, ConceptsMessage, LearnedMessage
from services.concepts import MOST_PHOTOS, proper_name
from services.problems import problems
from services.routes.asker import Asker, Who
from services.store.concepts import StoredConcept, TakenError
from services.teaching import Taught, TeachingError, stored_photo

MOST_BYTES = 10_000_000  # a photo

router = APIRouter(prefix="/v1/concepts", tags=["concepts"])
Noun = Annotated[str, Form(description='What kind of thing it is: "mug".')]
Photos = Annotated[
    list[UploadFile],
    Form(description="3 to 5 photos of the one thing; JPEG, PNG, WebP or HEIC."),
]


@router.post("", status_code=201, responses=problems(409, 422, 503))
async def teach(
    who: Who,
    name: Annotated[str, Form(description="What you call it; in a query it is {name}.")],
    noun: Noun,
    photos: Photos,
) -> LearnedMessage:
    """Teach a concept; it can be used in queries when this answers."""
    proper = _named(name)
    if await run_in_threadpool(who.concepts.store.find, who.tenant.id, proper):
        raise _taken(proper)
    return await _teach(who, Taught(proper, noun, await _read(photos)), None)


@router.get("")
async def list_concepts(who: Who) -> ConceptsMessage:
    """Your concepts, oldest first."""
    found = await run_in_threadpool(who.concepts.store.list_all, who.tenant.id)
    known = await _known(who, [stored.name for stored in found])
    return ConceptsMessage(concepts=[_message(stored, known[stored.name]) for stored in found])


@router.get("/{name}", responses=problems(404))
async def show(who: Who, name: str) -> ConceptMessage:
    """One concept."""
    stored = await _find(who, name)
    known = await _known(who, [stored.name])
    return _message(stored, known.get(stored.name, ""))


@router.put("/{name}", responses=problems(409, 422, 503))
async def replace(
    response: Response, who: Who, name: str, noun: Noun, photos: Photos
) -> LearnedMessage:
    """Teach a concept anew, in the place of the one of that name if there is one."""
    proper = _named(name)
    stored = await run_in_threadpool(who.concepts.store.find, who.tenant.id, proper)
    learned = await _teach(who, Taught(proper, noun, await _read(photos)), stored)
    response.status_code = 200 if stored else 201
    return learned


@router.post("/{name}/photos", responses=problems(404, 409, 422, 503))
async def add_photos(who: Who, name: str, photos: Photos) -> LearnedMessage:
    """Teach a concept with more photos beside those it has."""
    stored = await _find(who, name)
    before = await run_in_threadpool(who.concepts.store.photos, who.tenant.id, stored.name)
    together = (*before, *await _read(photos))
    return await _teach(who, Taught(stored.name, stored.noun, together), stored)


@router.get(
    "/{name}/photos/{number}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, **problems(404)},
)
async def photo(who: Who, name: str, number: int) -> Response:
    """One of a concept's photos, from 1."""
    stored = await _find(who, name)
    found = await run_in_threadpool(
        who.concepts.store.photo, who.tenant.id, stored.name, number - 1
    )
    if found is None:
        raise HTTPException(404, f"got photo {number}, and the concept has {stored.photos}")
    return Response(found, media_type="image/jpeg", headers={"Cache-Control": "private, no-cache"})


@router.delete("/{name}", status_code=204, responses=problems(404))
async def forget(who: Who, name: str) -> None:
    """Forget a concept: its photos, and what was learned from them."""
    if not await run_in_threadpool(who.concepts.store.forget, who.tenant.id, _named(name)):
        raise _missing()


async def _teach(who: Asker, taught: Taught, replaced: StoredConcept | None) -> LearnedMessage:
    began = time.perf_counter()
    if not 1 <= len(taught.photos) <= MOST_PHOTOS:
        raise HTTPException(422, f"got {len(taught.photos)} photos, expected 1 to {MOST_PHOTOS}")
    try:
        stored, learned = await who.concepts.teach(who.tenant.id, taught, replaced)
    except TeachingError as error:
        raise HTTPException(422, str(error)) from error
    except TakenError as error:
        raise _taken(taught.name) from error
    return LearnedMessage(
        **_message(stored, "").model_dump(),
        model_version=str(who.live.engine.version.number),
        warnings=list(learned.warnings),
        took_ms=round(1000 * (time.perf_counter() - began), 3),
    )


async def _read(uploads: Sequence[UploadFile]) -> tuple[bytes, ...]:
    """The photos as they are kept.

    Raises:
        HTTPException: One is too large, or no picture; it is named.
    """
    photos = []
    for number, upload in enumerate(uploads, start=1):
        name = f"photo {number} ({upload.filename or 'without a name'})"
        content = await upload.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise HTTPException(422, f"{name} has over 10 MB; scale it down")
        try:
            photos.append(await run_in_threadpool(stored_photo, content))
        except PictureError as error:
            raise HTTPException(422, f"{name} {error}") from error
    return tuple(photos)


async def _find(who: Asker, name: str) -> StoredConcept:
    stored = await run_in_threadpool(who.concepts.store.find, who.tenant.id, _named(name))
    if stored is None:
        raise _missing()
    return stored


async def _known(who: Asker, names: Sequence[str]) -> dict[str, str]:
    """Why concepts cannot be used, by name; "" where they can."""
    bundle = who.live.engine.version.digest
    found = await run_in_threadpool(who.concepts.store.learned, who.tenant.id, names, bundle)
    return {
        name: learned if isinstance(learned, str) else "" for name, (_, learned) in found.items()
    }


def _named(name: str) -> str:
    try:
        return proper_name(name)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error


def _message(stored: StoredConcept, problem: str) -> ConceptMessage:
    address = f"/v1/concepts/{quote(stored.name, safe='')}/photos"
    return ConceptMessage(
        name=stored.name,
        noun=stored.noun,
        created=stored.created.isoformat(timespec="seconds"),
        # `taught` makes the address of another photo another.
        photos=[f"{address}/{at}?v={stored.taught[:8]}" for at in range(1, stored.photos + 1)],
        problem=problem,
    )


def _missing() -> HTTPException:
    # The same words for a name that nobody has and for another tenant's.
    return HTTPException(404, "there is no concept of that name; GET /v1/concepts lists yours")


def _taken(name: str) -> HTTPException:
    msg = f"there is a concept {name!r} already; PUT replaces it, DELETE forgets it"
    return HTTPException(409, msg)
