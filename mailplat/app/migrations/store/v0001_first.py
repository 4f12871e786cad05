"""The tables of the index and of bodies in the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None


def _id(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), **options)


def _key(name: str) -> sa.Column[int]:
    return _id(name, primary_key=True, autoincrement=False)


def _big(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _name(name: str, **options: Any) -> sa.Column[str]:
    kind = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, kind, **options)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def upgrade() -> None:
    """Make all tables."""
    op.create_table("counters", sa.Column("name", sa.Text, primary_key=True), _big("value"))
    op.create_table(
        "homes",
        _key("id"),
        _name("account", nullable=False, unique=True),
        *map(_big, ("modseq", "storage", "messages")),
        sa.Column("limited", sa.Integer, nullable=False),
        _big("storage_limit", nullable=True),
        _big("messages_limit", nullable=True),
    )
    op.create_table(
        "mailboxes",
        _key("id"),
        _id("home", nullable=False),
        _name("name", nullable=False),
        _text("mailbox_id"),
        *map(_big, ("uid_validity", "uid_next", "modseq", "recent_uid", "messages", "recent")),
        *map(_big, ("unseen", "deleted", "size", "log_start", "log_rows")),
        _text("keywords"),
        _text("special_use"),
        sa.UniqueConstraint("home", "name"),
    )
    op.create_table(
        "subscriptions",
        _key("home"),
        _name("name", primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "contents",
        _key("id"),
        sa.Column("version", sa.Integer, nullable=False),
        _big("size"),
        _big("header_size"),
        sa.Column("traits", sa.Integer, nullable=False),
        _big("sent", nullable=True),
        *map(_bytes, ("envelope", "body", "bodystructure", "parts", "preview", "message_id")),
        *map(_bytes, ("refs", "base_subject")),
    )
    op.create_table("headers", _key("content"), _bytes("header"))
    op.create_table("bodies", _key("id"), _bytes("data"))
    op.create_table(
        "messages",
        _key("mailbox"),
        sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
        _id("content", nullable=False),
        *map(_big, ("mask", "modseq", "added", "size", "date", "saved")),
        _text("place"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "vanished",
        _key("mailbox"),
        sa.Column("modseq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
        _big("last"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dropping",
        _key("mailbox"),
        sa.Column("modseq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
        _id("content", nullable=False),
        _text("place"),
        sqlite_with_rowid=False,
    )
    op.create_index("messages_by_modseq", "messages", ["mailbox", "modseq"])
    op.create_index("messages_by_content", "messages", ["content"])
    op.create_index("dropping_by_content", "dropping", ["content"])


def downgrade() -> None:
    """Refuse: there was nothing before, and all mail would go."""
    raise NotImplementedError
