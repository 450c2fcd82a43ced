"""Concepts in the database: photos, and what was learned from them for each model version.

Every call is a transaction of its own. Nothing is cached: a query reads its concepts by tenant and
name, a fraction of a millisecond, so what another worker changed or deleted counts at once.
"""

import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, selectinload, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from services.store.tables import ConceptRow, FactorsRow, PhotoRow
from services.store.tenants import Quotas

if TYPE_CHECKING:
    from retrieval.concepts.concept import Concept

_LITTLE_ENDIAN = "<f4"
_PHOTOS = sa.select(sa.func.count()).where(PhotoRow.concept == ConceptRow.id).scalar_subquery()
_STORED = (
    ConceptRow.id,
    ConceptRow.name,
    ConceptRow.noun,
    ConceptRow.created,
    ConceptRow.taught,
    _PHOTOS.label("photos"),
)
# Columns, no objects, and made once: every search that names a concept asks this.
_LEARNED = (
    sa.select(
        *_STORED, FactorsRow.identifier, FactorsRow.base, FactorsRow.rank, FactorsRow.a,
        FactorsRow.b, FactorsRow.problem,
    )
    .outerjoin(
        FactorsRow,
        sa.and_(
            FactorsRow.concept == ConceptRow.id,
            FactorsRow.bundle == sa.bindparam("bundle"),
            FactorsRow.taught == ConceptRow.taught,
        ),
    )
    .where(
        ConceptRow.tenant == sa.bindparam("tenant"),
        ConceptRow.name.in_(sa.bindparam("names", expanding=True)),
    )
)  # fmt: skip


class TakenError(Exception):
    """A tenant has a concept of that name already."""


class QuotaError(Exception):
    """A tenant has as much as its key allows; the message says what to do."""


@dataclass(frozen=True)
class StoredConcept:
    """A concept as its owner knows it."""

    id: str
    name: str
    noun: str
    created: datetime
    taught: str  # new with noun or photos: what is learned belongs to it
    photos: int


@dataclass(frozen=True)
class Lacking:
    """A concept that has yet to be learned for a model version."""

    concept: StoredConcept
    photos: tuple[bytes, ...]  # JPEG


class ConceptStore:
    """All tenants' concepts. Every call raises SQLAlchemyError where the database does not answer.

    "Learned" is a `Concept` with its factors, or a sentence that says why it could not be learned.
    """

    def __init__(self, engine: Engine) -> None:
        """Use an open database (`open_database`)."""
        self._engine = engine
        self._session = sessionmaker(engine)

    @property
    def is_local(self) -> bool:
        """Whether reading is a matter of this machine's memory: nobody's write holds it up."""
        return self._engine.dialect.name == "sqlite"

    def list_all(self, tenant: str) -> list[StoredConcept]:
        """A tenant's concepts, oldest first."""
        query = sa.select(*_STORED).where(ConceptRow.tenant == tenant)
        query = query.order_by(ConceptRow.created, ConceptRow.id)
        with self._engine.connect() as connection:
            return [_read(row) for row in connection.execute(query)]

    def find(self, tenant: str, name: str) -> StoredConcept | None:
        """One concept."""
        query = sa.select(*_STORED).where(ConceptRow.tenant == tenant, ConceptRow.name == name)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return _read(row) if row else None

    def photos(self, tenant: str, name: str) -> list[bytes]:
        """A concept's photos, JPEG; [] where there is no such concept."""
        with self._session() as session:
            row = _row(session, tenant, name)
            return [photo.jpeg for photo in row.photos] if row else []

    def photo(self, tenant: str, name: str, position: int) -> bytes | None:
        """One of a concept's photos, from 0."""
        query = sa.select(PhotoRow.jpeg).join(ConceptRow, ConceptRow.id == PhotoRow.concept)
        query = query.where(
            ConceptRow.tenant == tenant, ConceptRow.name == name, PhotoRow.position == position
        )
        with self._session() as session:
            return session.scalar(query)

    def put(  # noqa: PLR0913 -- a transaction needs it all
        self,
        tenant: str,
        concept: "Concept",
        photos: Sequence[bytes],
        bundle: str,
        replace: StoredConcept | None = None,
        quotas: Quotas | None = None,
    ) -> StoredConcept:
        """Store a concept that was learned, whole or not at all.

        Args:
            tenant: Whose.
            concept: It, learned.
            photos: What it was learned from, JPEG.
            bundle: The digest of the version that it was learned for.
            replace: What it takes the place of.
            quotas: The most that the tenant may have.

        Raises:
            QuotaError: It would have more.
            TakenError: There is a concept of that name, and another than `replace`; or what was to
                be replaced has changed meanwhile.
        """
        try:
            with self._session.begin() as session:
                row = _row(session, tenant, concept.name)
                if (row and row.taught) != (replace and replace.taught):
                    raise TakenError(concept.name)
                stored = _write(session, row or _new(session, tenant, concept), concept, photos)
                session.add(_factors(stored.id, stored.taught, bundle, concept))
                _hold(session, tenant, quotas, concept.name, photos)
        except (sa.exc.IntegrityError, StaleDataError) as error:  # another request was faster
            raise TakenError(concept.name) from error
        if replace:
            self._wipe()
        return stored

    def hold(self, tenant: str, quotas: Quotas, name: str, photos: Sequence[bytes]) -> None:
        """Find out before anything is learned. Raises QuotaError as `put` would."""
        with self._session() as session:
            _hold(session, tenant, quotas, name, photos)

    def count(self) -> int:
        """How many concepts all tenants have."""
        with self._session() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(ConceptRow)) or 0

    def forget(self, tenant: str, name: str) -> bool:
        """Delete a concept with photos and factors; whether there was one."""
        query = sa.delete(ConceptRow).where(ConceptRow.tenant == tenant, ConceptRow.name == name)
        with self._session.begin() as session:
            found: bool = session.execute(query).rowcount > 0  # type: ignore[attr-defined]
        if found:
            self._wipe()
        return found

    def learned(
        self, tenant: str, names: Collection[str], bundle: str
    ) -> dict[str, tuple[StoredConcept, "Concept | str | None"]]:
        """Some of a tenant's concepts, each with what a version learned; None: nothing yet."""
        asked = {"tenant": tenant, "names": list(names), "bundle": bundle}
        with self._engine.connect() as connection:
            rows = connection.execute(_LEARNED, asked).all()
        return {
            row.name: (_read(row), None if row.problem is None else _learned(row)) for row in rows
        }

    def lacking(self, bundle: str, most: int) -> list[Lacking]:
        """Concepts of any tenant that a version has not learned yet, `most` at most."""
        known = sa.select(FactorsRow.concept).where(
            FactorsRow.concept == ConceptRow.id,
            FactorsRow.bundle == bundle,
            FactorsRow.taught == ConceptRow.taught,
        )
        query = sa.select(ConceptRow).where(~known.exists()).order_by(ConceptRow.id).limit(most)
        with self._session() as session:
            rows = session.scalars(query.options(selectinload(ConceptRow.photos))).all()
            return [
                Lacking(_stored(row), tuple(photo.jpeg for photo in row.photos)) for row in rows
            ]

    def add_learned(self, concept: StoredConcept, bundle: str, learned: "Concept | str") -> None:
        """Store what a version learned; nothing where the concept has changed or gone meanwhile."""
        with suppress(sa.exc.IntegrityError), self._session.begin() as session:
            row = session.get(ConceptRow, concept.id)
            if row is not None and row.taught == concept.taught:
                session.merge(_factors(row.id, row.taught, bundle, learned))

    def _wipe(self) -> None:
        """Empty SQLite's journal, which holds what was deleted until then."""
        if self._engine.dialect.name == "sqlite":
            with self._engine.connect() as connection:
                connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _row(session: Session, tenant: str, name: str) -> ConceptRow | None:
    return session.scalar(
        sa.select(ConceptRow).where(ConceptRow.tenant == tenant, ConceptRow.name == name)
    )


def _new(session: Session, tenant: str, concept: "Concept") -> ConceptRow:
    row = ConceptRow(
        id=uuid.uuid4().hex, tenant=tenant, name=concept.name, created=datetime.now(UTC)
    )
    session.add(row)
    return row


def _write(
    session: Session, row: ConceptRow, concept: "Concept", photos: Sequence[bytes]
) -> StoredConcept:
    """Put photos in the place of those before, and forget what was learned from those."""
    row.noun, row.taught = concept.noun, uuid.uuid4().hex
    row.photos.clear()
    row.factors.clear()
    session.flush()
    row.photos = [PhotoRow(position=at, jpeg=jpeg) for at, jpeg in enumerate(photos)]
    session.flush()
    return _stored(row)


def _hold(
    session: Session, tenant: str, quotas: Quotas | None, name: str, photos: Sequence[bytes]
) -> None:
    """Raise QuotaError where a tenant would have too much with this concept."""
    if quotas is None:
        return
    if session.get_bind().dialect.name == "postgresql":  # in SQLite one writes at a time anyway
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(tenant))))
    others = (ConceptRow.tenant == tenant, ConceptRow.name != name)
    had = session.scalar(sa.select(sa.func.count()).select_from(ConceptRow).where(*others)) or 0
    if had + 1 > quotas.concepts:
        msg = f"got one more than the {quotas.concepts:,} concepts of this key; forget another"
        raise QuotaError(msg)
    size = sa.select(sa.func.sum(sa.func.length(PhotoRow.jpeg)))
    size = size.join(ConceptRow, ConceptRow.id == PhotoRow.concept).where(*others)
    total = (session.scalar(size) or 0) + sum(map(len, photos))
    if total > quotas.photo_mb * 1_000_000:
        msg = (
            f"got {total / 1e6:,.1f} MB of photos with these, expected the {quotas.photo_mb:,} MB"
            " of this key at most; forget a concept, or teach with fewer photos"
        )
        raise QuotaError(msg)


def _stored(row: ConceptRow) -> StoredConcept:
    return StoredConcept(
        row.id, row.name, row.noun, _in_utc(row.created), row.taught, len(row.photos)
    )


def _read(row: Any) -> StoredConcept:
    """From a row of `_STORED`, and whatever else it has."""
    return StoredConcept(row.id, row.name, row.noun, _in_utc(row.created), row.taught, row.photos)


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)  # SQLite keeps no zone


def _factors(id_: str, taught: str, bundle: str, learned: "Concept | str") -> FactorsRow:
    row = FactorsRow(concept=id_, bundle=bundle, taught=taught)
    if isinstance(learned, str):
        row.identifier, row.base, row.rank, row.a, row.b = "", "", 0, b"", b""
        row.problem = learned[:1000]
        return row
    row.identifier, row.base, row.rank = learned.identifier, learned.base, len(learned.a_Rd)
    row.a, row.b = (
        x_Rd.numpy().astype(_LITTLE_ENDIAN).tobytes() for x_Rd in (learned.a_Rd, learned.b_Rd)
    )
    row.problem = ""
    return row


def _learned(row: Any) -> "Concept | str":
    """From a row with the columns of factors beside the concept's own."""
    if row.problem:
        return str(row.problem)
    import torch

    from retrieval.concepts.concept import Concept

    a_Rd, b_Rd = (
        torch.from_numpy(np.frombuffer(x, _LITTLE_ENDIAN).astype(np.float32)).view(row.rank, -1)
        for x in (row.a, row.b)
    )
    return Concept(row.name, row.noun, row.identifier, a_Rd, b_Rd, row.base)
