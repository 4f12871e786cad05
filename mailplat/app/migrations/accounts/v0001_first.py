"""The tables of accounts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None


def _entry(**options: Any) -> sa.Column[int]:
    key = sa.ForeignKey("account_entries.id", ondelete="CASCADE")
    return sa.Column("entry", sa.Integer, key, **options)


def upgrade() -> None:
    """Make all tables."""
    op.create_table("account_schema", sa.Column("version", sa.Integer, nullable=False))
    op.create_table(
        "account_entries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("full_name", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("quota_storage", sa.BigInteger),
        sa.Column("quota_messages", sa.BigInteger),
    )
    for table, name in (("account_logins", "login"), ("account_addresses", "address")):
        op.create_table(
            table,
            sa.Column(name, sa.Text, primary_key=True),
            _entry(nullable=False, index=True),
            sa.Column("position", sa.Integer, nullable=False),
        )
    op.create_table(
        "account_settings",
        _entry(primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Refuse: there was nothing before, and all accounts would go."""
    raise NotImplementedError
