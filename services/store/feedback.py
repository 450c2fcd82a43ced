"""What tenants said of what they were shown, in the database: only ever added to."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import sessionmaker

from services.store.tables import FeedbackRow


@dataclass(frozen=True)
class Feedback:
    """The same for who gives it and who reads it."""

    text: str  # the query, in words
    shown: tuple[str, ...]  # products in the order of the page
    chosen: str | None
    rejected: tuple[str, ...]


class FeedbackStore:
    """All tenants' feedback. Calls raise SQLAlchemyError where the database does not answer."""

    def __init__(self, engine: Engine) -> None:
        """Use an open database (`open_database`)."""
        self._session = sessionmaker(engine)

    def add(self, tenant: str, feedback: Feedback, bundle: str) -> None:
        """Keep it; it is on disk when this returns."""
        row = FeedbackRow(
            id=uuid.uuid4().hex,
            tenant=tenant,
            created=datetime.now(UTC),
            bundle=bundle,
            text=feedback.text,
            shown=list(feedback.shown),
            chosen=feedback.chosen,
            rejected=list(feedback.rejected),
        )
        with self._session.begin() as session:
            session.add(row)

    def read_all(self) -> list[Feedback]:
        """Everybody's, oldest first."""
        query = sa.select(FeedbackRow).order_by(FeedbackRow.created, FeedbackRow.id)
        with self._session() as session:
            return [
                Feedback(row.text, tuple(row.shown), row.chosen, tuple(row.rejected))
                for row in session.scalars(query)
            ]
