"""API keys in the database, and how many requests their tenants made.

Of a key only its SHA-256 is stored. A key is 32 random bytes: nobody can try them all, so the slow
hashes that passwords need would add nothing here but time to every request.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.orm import sessionmaker

from services.store.tables import KeyRow, UsageRow
from services.store.tenants import Quotas, Tenant

PREFIX = "kin_"
_RANDOM_BYTES = 32


class NameTakenError(Exception):
    """There is a key of that name already."""


@dataclass(frozen=True)
class Key:
    """What is known of a key: whose it is, and when it was made."""

    name: str
    tenant: Tenant
    created: datetime


def digest_of(key: str) -> str:
    """What a key is stored and looked up by."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyStore:
    """All keys. Every call raises SQLAlchemyError where the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        """Use an open database (`open_database`)."""
        self._engine = engine
        self._session = sessionmaker(engine)

    def add(self, name: str, tenant: Tenant) -> str:
        """Make a key.

        Args:
            name: What it is listed and revoked by.
            tenant: What it stands for.

        Returns:
            The key, which cannot be read again.

        Raises:
            NameTakenError: There is one of that name.
        """
        quotas = tenant.quotas
        if quotas is None:
            msg = "a key has quotas; got none"
            raise ValueError(msg)
        key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        row = KeyRow(
            name=name,
            digest=digest_of(key),
            tenant=tenant.id,
            created=datetime.now(UTC),
            feedback=tenant.feedback,
            concepts=quotas.concepts,
            requests_a_minute=quotas.requests_a_minute,
            photo_mb=quotas.photo_mb,
        )
        try:
            with self._session.begin() as session:
                session.add(row)
        except sa.exc.IntegrityError as error:
            raise NameTakenError(name) from error
        return key

    def by_digest(self) -> dict[str, Key]:
        """Every key by its digest, oldest first."""
        with self._session() as session:
            rows = session.scalars(sa.select(KeyRow).order_by(KeyRow.created, KeyRow.name))
            return {row.digest: _key(row) for row in rows}

    def revoke(self, name: str) -> bool:
        """Delete a key; whether there was one. What its tenant taught stays."""
        with self._session.begin() as session:
            done = session.execute(sa.delete(KeyRow).where(KeyRow.name == name))
            found: bool = done.rowcount > 0  # type: ignore[attr-defined]
        return found

    def count(self, minute: int, requests: Mapping[str, int]) -> dict[str, int]:
        """Add one worker's requests of a minute, and read all workers'.

        Args:
            minute: Since 1970.
            requests: By tenant, those that it has not reported yet.

        Returns:
            The minute's requests of every tenant that made some.
        """
        with self._session.begin() as session:
            if requests:
                session.execute(sa.delete(UsageRow).where(UsageRow.minute < minute - 1))
            for tenant in sorted(requests):  # in one order: two workers never wait for each other
                values = {"tenant": tenant, "minute": minute, "requests": requests[tenant]}
                session.execute(self._adding(values))
            rows = session.execute(
                sa.select(UsageRow.tenant, UsageRow.requests).where(UsageRow.minute == minute)
            )
            return {row.tenant: row.requests for row in rows}

    def _adding(self, values: dict[str, object]) -> sa.Executable:
        on_server = self._engine.dialect.name == "postgresql"
        insert = (postgresql if on_server else sqlite).insert(UsageRow).values(values)
        adding: sa.Executable = insert.on_conflict_do_update(
            index_elements=[UsageRow.tenant, UsageRow.minute],
            set_={"requests": UsageRow.requests + insert.excluded.requests},
        )
        return adding


def _key(row: KeyRow) -> Key:
    quotas = Quotas(row.concepts, row.requests_a_minute, row.photo_mb)
    created = row.created if row.created.tzinfo else row.created.replace(tzinfo=UTC)
    return Key(row.name, Tenant(row.tenant, row.name, row.feedback, quotas), created)
