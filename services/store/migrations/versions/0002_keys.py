"""API keys, and the requests that tenants made."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "keys",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("feedback", sa.Boolean(), nullable=False),
        sa.Column("concepts", sa.Integer(), nullable=False),
        sa.Column("requests_a_minute", sa.Integer(), nullable=False),
        sa.Column("photo_mb", sa.Integer(), nullable=False),
    )
    op.create_table(
        "usage",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("minute", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("requests", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("usage", "keys"):
        op.drop_table(table)
