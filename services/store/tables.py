"""The tables of the service's database; `migrations/` makes them."""

from datetime import datetime

from sqlalchemy import JSON, DateTime, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

LONGEST_NAME = 200  # characters
CASCADE = "CASCADE"


class Table(DeclarativeBase):
    """All tables."""


class ConceptRow(Table):
    """Something that a tenant taught."""

    __tablename__ = "concepts"
    __table_args__ = (UniqueConstraint("tenant", "name"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # a random UUID, hexadecimal
    tenant: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(LONGEST_NAME))
    noun: Mapped[str] = mapped_column(String(60))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    taught: Mapped[str] = mapped_column(String(32))  # random, new with noun or photos
    # What another request changed meanwhile is not written over: StaleDataError.
    __mapper_args__ = {"version_id_col": taught, "version_id_generator": False}  # noqa: RUF012
    photos: Mapped[list["PhotoRow"]] = relationship(
        order_by="PhotoRow.position", cascade="all, delete-orphan", passive_deletes=True
    )
    factors: Mapped[list["FactorsRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class PhotoRow(Table):
    """A reference photo."""

    __tablename__ = "photos"

    concept: Mapped[str] = mapped_column(
        ForeignKey("concepts.id", ondelete=CASCADE), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    jpeg: Mapped[bytes] = mapped_column(LargeBinary)  # upright, without metadata


class FactorsRow(Table):
    """What was learned for one model version: two vectors, or why there are none."""

    __tablename__ = "factors"

    concept: Mapped[str] = mapped_column(
        ForeignKey("concepts.id", ondelete=CASCADE), primary_key=True
    )
    bundle: Mapped[str] = mapped_column(String(64), primary_key=True)  # the version's digest
    taught: Mapped[str] = mapped_column(String(32))  # the noun and photos that it is from
    identifier: Mapped[str] = mapped_column(String(60))
    base: Mapped[str] = mapped_column(String(64))  # the text tower's digest
    rank: Mapped[int]
    a: Mapped[bytes] = mapped_column(LargeBinary)  # little-endian float32 (rank, d)
    b: Mapped[bytes] = mapped_column(LargeBinary)
    problem: Mapped[str] = mapped_column(String(1000))  # "" where it was learned


class FeedbackRow(Table):
    """One answer to one search."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # a random UUID, hexadecimal
    tenant: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    bundle: Mapped[str] = mapped_column(String(64))  # the digest of the version that served
    text: Mapped[str] = mapped_column(Text)
    shown: Mapped[list[str]] = mapped_column(JSON)
    chosen: Mapped[str | None] = mapped_column(Text)
    rejected: Mapped[list[str]] = mapped_column(JSON)


class KeyRow(Table):
    """An API key: who holds it, and what that allows. The key itself is nowhere."""

    __tablename__ = "keys"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256, hexadecimal
    tenant: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    feedback: Mapped[bool]
    concepts: Mapped[int]
    requests_a_minute: Mapped[int]
    photo_mb: Mapped[int]


class UsageRow(Table):
    """The requests of a tenant in a minute, counted by all workers together."""

    __tablename__ = "usage"

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True)  # since 1970
    requests: Mapped[int]
