"""`/v1/concepts`: teach, list, show, change, forget."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Path, Request, Response, UploadFile
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from services.http.concept_messages import ConceptMessage, ConceptsMessage, LearnedMessage
from services.http.problems import problems
from services.http.routes.asker import Asker, Who
from services.http.routes.stored_picture import stored_picture
from services.http.routes.uploads import read_upload
from services.search.teaching import Taught, TeachingError
from services.sharing.concepts import MOST_PHOTOS, proper_name, proper_noun
from services.store.concepts import ConceptStore, QuotaError, StoredConcept, TakenError

Asked = ParamSpec("Asked")
Given = TypeVar("Given")
router = APIRouter(prefix="/v1/concepts", tags=["concepts"])
Noun = Annotated[str, Form(description='What kind of thing it is: "mug".')]
Number = Annotated[int, Path(ge=1, le=MOST_PHOTOS)]
Photos = Annotated[
    list[UploadFile],
    File(
        description="3 to 5 photos of the one thing; JPEG, PNG, WebP or HEIC.",
        min_length=1,
        max_length=MOST_PHOTOS,
    ),
]


@router.post("", status_code=201, responses=problems(400, 409, 422, 503, 507))
async def teach(
    who: Who,
    name: Annotated[str, Form(description="What you call it; in a query it is {name}.")],
    noun: Noun,
    photos: Photos,
) -> LearnedMessage:
    """Teach a concept; it can be used in queries when this answers."""
    proper = _proper(proper_name, name)
    if await _in_store(who, ConceptStore.find, proper):
        raise _taken(proper)
    taught = Taught(proper, _proper(proper_noun, noun), await _read(who, photos))
    return await _teach(who, taught, None)


@router.get("")
async def list_concepts(who: Who) -> ConceptsMessage:
    """Your concepts, oldest first."""
    found = await _in_store(who, ConceptStore.list_all)
    known = await _problems_of(who, [stored.name for stored in found])
    messages = [_message(stored, known.get(stored.name, "")) for stored in found]
    return ConceptsMessage(concepts=messages)


@router.get("/{name}", responses=problems(404, 422))
async def show(who: Who, name: str) -> ConceptMessage:
    """One concept."""
    stored = await _find(who, name)
    known = await _problems_of(who, [stored.name])
    return _message(stored, known.get(stored.name, ""))


@router.put(
    "/{name}",
    responses={
        201: {"model": LearnedMessage, "description": "There was none."},
        **problems(400, 409, 422, 503, 507),
    },
)
async def replace(
    response: Response, who: Who, name: str, noun: Noun, photos: Photos
) -> LearnedMessage:
    """Teach a concept anew, in the place of the one of that name if there is one."""
    proper = _proper(proper_name, name)
    stored = await _in_store(who, ConceptStore.find, proper)
    taught = Taught(proper, _proper(proper_noun, noun), await _read(who, photos))
    learned = await _teach(who, taught, stored)
    response.status_code = 200 if stored else 201
    return learned


@router.post("/{name}/photos", responses=problems(400, 404, 409, 422, 503, 507))
async def add_photos(who: Who, name: str, photos: Photos) -> LearnedMessage:
    """Teach a concept with more photos beside those it has."""
    stored = await _find(who, name)
    before = await _in_store(who, ConceptStore.photos, stored.name)
    together = (*before, *await _read(who, photos, len(before)))
    return await _teach(who, Taught(stored.name, stored.noun, together), stored)


@router.get(
    "/{name}/photos/{number}",
    response_class=Response,
    responses={
        200: {"description": "The photo.", "content": {"image/jpeg": {}}},
        206: {"description": "A part of it.", "content": {"image/jpeg": {}}},
        304: {"description": "It has not changed."},
        **problems(404, 416, 422),
    },
)
async def photo(who: Who, request: Request, name: str, number: Number) -> Response:
    """One of a concept's photos, from 1."""
    stored = await _find(who, name)
    found = await _in_store(who, ConceptStore.photo, stored.name, number - 1)
    if found is None:
        raise HTTPException(404, f"got photo {number}, and the concept has {stored.photos}")
    return stored_picture(request, found, "private, no-cache")


@router.delete("/{name}", status_code=204, responses=problems(404, 422, 507))
async def forget(who: Who, name: str) -> None:
    """Forget a concept: its photos, and what was learned from them."""
    if not await _in_store(who, ConceptStore.forget, _proper(proper_name, name)):
        raise _missing()


async def _teach(who: Asker, taught: Taught, replaced: StoredConcept | None) -> LearnedMessage:
    began = time.perf_counter()
    try:
        stored, learned = await who.concepts.teach(who.tenant, taught, replaced)
    except TeachingError as error:
        raise HTTPException(422, str(error)) from error
    except TakenError as error:
        raise (_changed() if replaced else _taken(taught.name)) from error
    except QuotaError as error:
        raise HTTPException(429, str(error)) from error
    return LearnedMessage(
        **_message(stored, "").model_dump(),
        model_version=str(who.live.engine.version.number),
        warnings=list(learned.warnings),
        took_ms=round(1000 * (time.perf_counter() - began), 3),
    )


async def _read(who: Asker, uploads: Sequence[UploadFile], before: int = 0) -> tuple[bytes, ...]:
    """The photos as they are kept.

    Raises:
        HTTPException: There are too many beside those before, or one is too large, or no picture;
            it is named.
    """
    if not 1 <= len(uploads) <= MOST_PHOTOS - before:
        beside = f" beside the {before} that are there" if before else ""
        msg = f"got {len(uploads)} photos{beside}, expected 1 to {MOST_PHOTOS} together"
        raise HTTPException(422, msg)
    photos = [
        await read_upload(upload, f"photo {number}", who.concepts.photo)
        for number, upload in enumerate(uploads, start=1)
    ]
    return tuple(photos)


async def _in_store(
    who: Asker,
    call: Callable[Concatenate[ConceptStore, str, Asked], Given],
    *args: Asked.args,
    **kwargs: Asked.kwargs,
) -> Given:
    """What a call of the store gives about who asks."""
    return await run_in_threadpool(call, who.concepts.store, who.tenant.id, *args, **kwargs)


async def _find(who: Asker, name: str) -> StoredConcept:
    stored = await _in_store(who, ConceptStore.find, _proper(proper_name, name))
    if stored is None:
        raise _missing()
    return stored


async def _problems_of(who: Asker, names: Sequence[str]) -> dict[str, str]:
    """Why concepts cannot be used, by name; "" where they can."""
    bundle = who.live.engine.version.digest
    found = await _in_store(who, ConceptStore.learned, names, bundle)
    return {
        name: learned if isinstance(learned, str) else "" for name, (_, learned) in found.items()
    }


def _proper(form: Callable[[str], str], text: str) -> str:
    try:
        return form(text)
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


def _changed() -> HTTPException:
    return HTTPException(409, "the concept was changed or forgotten meanwhile; ask again")
