"""Concepts, their photos, and what was learned for each model version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "concepts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("noun", sa.String(60), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taught", sa.String(32), nullable=False),
        sa.UniqueConstraint("tenant", "name"),
    )
    op.create_table(
        "photos",
        _concept(),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "factors",
        _concept(),
        sa.Column("bundle", sa.String(64), primary_key=True),
        sa.Column("taught", sa.String(32), nullable=False),
        sa.Column("identifier", sa.String(60), nullable=False),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("a", sa.LargeBinary(), nullable=False),
        sa.Column("b", sa.LargeBinary(), nullable=False),
        sa.Column("problem", sa.String(1000), nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("factors", "photos", "concepts"):
        op.drop_table(table)


def _concept() -> sa.Column[str]:
    return sa.Column(
        "concept",
        sa.String(32),
        sa.ForeignKey("concepts.id", ondelete="CASCADE"),
        primary_key=True,
    )
