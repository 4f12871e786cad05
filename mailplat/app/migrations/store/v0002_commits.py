"""The newest commits, for other processes on one database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table; who opens the store begins to count."""
    op.create_table(
        "commits",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("touched", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Forget them: they are of use to running processes alone."""
    op.drop_table("commits")
