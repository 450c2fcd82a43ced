"""Tenants' concepts: taught, used in queries, learned again for the next version, forgotten."""

import asyncio
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from starlette.concurrency import run_in_threadpool

from retrieval.index.collection import text_fault
from services.search.engine import Engine
from services.search.live import Live
from services.search.queries import Found, Query
from services.search.teaching import Learned, Taught, TeachingError, learn, stored_photo
from services.store.concepts import ConceptStore, StoredConcept
from services.store.tables import LONGEST_NAME
from services.store.tenants import Tenant

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept

LOCKS = Path("var/locks")
TOGETHER = 32  # concepts that the next version learns at once
OPENED_TOGETHER = 2  # photos of any size: the largest takes 200 MB
MOST_PHOTOS = 10
MOST_IN_A_QUERY = 8
_PLACE = re.compile(r"\{([^{}]*)\}")
_FORBIDDEN = "{}/\\"


class UnknownConceptError(LookupError):
    """A tenant has no concept of that name, or the version that serves cannot use it."""


class UnreadableError(ValueError):
    """A text holds nothing that the model knows."""


def proper_name(name: str) -> str:
    """A concept's name in the one form that it is kept in: NFC, single spaces.

    Raises:
        ValueError: It cannot be a name; the message says why.
    """
    if fault := text_fault(name):
        msg = f"the name {fault}"
        raise ValueError(msg)
    proper = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(proper) <= LONGEST_NAME:
        msg = f"got a name of {len(proper)} characters, expected 1 to {LONGEST_NAME}"
        raise ValueError(msg)
    if any(character in _FORBIDDEN for character in proper) or proper in (".", ".."):
        msg = f"got the name {proper!r}, expected one without {' '.join(_FORBIDDEN)}"
        raise ValueError(msg)
    return proper


def proper_noun(noun: str) -> str:
    """A concept's noun, without what no text should hold; how long it may be is `learn`'s to say.

    Raises:
        ValueError: It cannot be a noun; the message says why.
    """
    if fault := text_fault(noun):
        msg = f"the noun {fault}"
        raise ValueError(msg)
    return " ".join(noun.split())


class Concepts:
    """What tenants taught, for the version that serves."""

    def __init__(self, live: Live, store: ConceptStore) -> None:
        """Have every next version learn all concepts before it serves."""
        self.store = store
        self._live = live
        self._opening = asyncio.Semaphore(OPENED_TOGETHER)
        live.prepare = self.learn_all

    async def photo(self, uploaded: bytes) -> bytes:
        """A photo as it is kept. Raises as `stored_photo`."""
        async with self._opening:
            return await run_in_threadpool(stored_photo, uploaded)

    async def teach(
        self, tenant: Tenant, taught: Taught, replaced: StoredConcept | None = None
    ) -> tuple[StoredConcept, Learned]:
        """Learn a concept and keep it; it can be used when this returns.

        Raises:
            QuotaError: The tenant would have more than its key allows.
            TeachingError: Nothing can be learned from it; nothing is stored.
            TakenError: See `ConceptStore.put`.
        """
        if tenant.quotas is not None:
            await run_in_threadpool(
                self.store.hold, tenant.id, tenant.quotas, taught.name, taught.photos
            )
        learned = await self._live.lessons.ask(taught)
        stored = await run_in_threadpool(
            self.store.put,
            tenant.id,
            learned.concept,
            taught.photos,
            learned.bundle,
            replaced,
            tenant.quotas,
        )
        return stored, learned

    async def search(self, tenant: str, query: Query) -> tuple[Found, Query]:
        """Answer a query in whose text `{name}` is one of the tenant's concepts.

        Returns:
            The answer, and the query as it was asked: with the concepts that it used.

        Raises:
            UnknownConceptError: See `resolve`.
            UnreadableError: The model knows nothing of the text.
            ValueError: See `resolve`.
            OverloadedError: See `Batcher.ask`.
        """
        while True:
            version = self._live.engine.version.digest
            text, concepts = await self.resolve(tenant, query.text)
            asked = replace(query, text=text, concepts=concepts)
            try:
                found = await self._live.searches.ask(asked)
            except ValueError:  # of another model: another version has taken over meanwhile
                if not concepts or version == self._live.engine.version.digest:
                    raise
            else:
                if not concepts or version == found.version.digest:
                    if found.refusal:
                        raise UnreadableError(found.refusal)
                    return found, asked

    async def resolve(self, tenant: str, text: str) -> tuple[str, tuple["Concept", ...]]:
        """A query's text with its concepts' names in their proper form, and the concepts.

        Raises:
            UnknownConceptError: A name stands for no concept, or for one that the version that
                serves could not learn.
            ValueError: A query names too many, or holds the word that stands for concepts.
        """
        names = list(dict.fromkeys(proper_name(found) for found in _PLACE.findall(text)))
        if len(names) > MOST_IN_A_QUERY:
            msg = f"got {len(names)} concepts in a query, expected {MOST_IN_A_QUERY} at most"
            raise ValueError(msg)
        concepts = await self._named(tenant, names) if names else ()
        if concepts:
            text = _PLACE.sub(lambda found: f"{{{proper_name(found[1])}}}", text)
            _hold_placeable(text, concepts)
        return text, concepts

    async def _named(self, tenant: str, names: Sequence[str]) -> tuple["Concept", ...]:
        bundle = self._live.engine.version.digest
        known = await self._learned(tenant, names, bundle)
        if unknown := [name for name in names if name not in known]:
            msg = (
                f"got {{{unknown[0]}}} in the query, and there is no concept of that name;"
                " GET /v1/concepts lists yours"
            )
            raise UnknownConceptError(msg)
        return tuple([await self._usable(*known[name], tenant) for name in names])

    async def _learned(
        self, tenant: str, names: Sequence[str], bundle: str
    ) -> dict[str, tuple[StoredConcept, "Concept | str | None"]]:
        if self.store.is_local:  # the tenth of a millisecond that a thread costs more than
            return self.store.learned(tenant, names, bundle)
        return await run_in_threadpool(self.store.learned, tenant, names, bundle)

    async def _usable(
        self, stored: StoredConcept, learned: "Concept | str | None", tenant: str
    ) -> "Concept":
        """The concept, learned now where it was taught while another version took over."""
        if learned is None:
            photos = await run_in_threadpool(self.store.photos, tenant, stored.name)
            taught = Taught(stored.name, stored.noun, tuple(photos))
            try:
                answer = await self._live.lessons.ask(taught)
            except TeachingError as error:
                learned = str(error)
            else:
                learned = answer.concept
                await run_in_threadpool(self.store.add_learned, stored, answer.bundle, learned)
        if isinstance(learned, str):
            msg = f"{{{stored.name}}} cannot be used with the version that serves: {learned}"
            raise UnknownConceptError(msg)
        return learned

    def learn_all(self, engine: Engine) -> None:
        """Learn for a version what it lacks, in batches; what cannot be learned is marked.

        One worker does, the others wait and find it done.
        """
        digest = engine.version.digest
        LOCKS.mkdir(parents=True, exist_ok=True)
        with FileLock(LOCKS / f"learning.{digest[:16]}.lock"):
            self._learn_lacking(engine, digest)

    def _learn_lacking(self, engine: Engine, digest: str) -> None:
        while lacking := self.store.lacking(digest, TOGETHER):
            lessons = [Taught(one.concept.name, one.concept.noun, one.photos) for one in lacking]
            for one, answer in zip(lacking, _each(engine, lessons), strict=True):
                learned = answer if isinstance(answer, str) else answer.concept
                self.store.add_learned(one.concept, digest, learned)


def _hold_placeable(text: str, concepts: Sequence["Concept"]) -> None:
    """Refuse what would fail among the other queries of its batch, and so delay them."""
    from retrieval.concepts.concept import place

    place(text, concepts)


def _each(engine: Engine, lessons: Sequence[Taught]) -> list[Learned | str]:
    """Learn together; where one cannot be learned, alone, so that only it is marked."""
    try:
        return list(learn(engine, lessons))
    except TeachingError as error:
        if len(lessons) == 1:
            return [str(error)]
        return [answer for lesson in lessons for answer in _each(engine, [lesson])]
