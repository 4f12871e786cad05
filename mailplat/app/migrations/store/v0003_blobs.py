"""Large bodies stand once, under their hash: in the database, or in a store of blobs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"

_BACK = """
INSERT INTO bodies (id, data)
SELECT s.content * 65536 + b.id % 65536, b.data
FROM shared s JOIN bodies b ON b.id BETWEEN s.blob * 65536 AND s.blob * 65536 + 65535
"""


def _id(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(
        name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=False, **options
    )


def upgrade() -> None:
    """Make the tables; bodies that are there stay where they are."""
    op.create_table(
        "blobs",
        _id("id", primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column(
            "key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("unused", sa.BigInteger, nullable=False),
    )
    op.create_table("shared", _id("content", primary_key=True), _id("blob", nullable=False))
    for column in ("digest", "key", "unused"):
        op.create_index(f"blobs_by_{column}", "blobs", [column])
    op.create_index("shared_by_blob", "shared", ["blob"])


def downgrade() -> None:
    """Give each message its own bytes again; what is outside the database cannot come back.

    Raises:
        ConfigurationFault: Bodies are outside.
    """
    from mailplat.model.errors import ConfigurationFault

    outside = op.get_bind().execute(
        sa.text("SELECT count(*) FROM blobs b WHERE key <> '' AND id IN (SELECT blob FROM shared)")
    )
    if count := outside.scalar():
        raise ConfigurationFault(
            f"{count} bodies are in files or S3, where an older mailplat finds none: export the "
            "mail by `mailplatctl store export`, and import it into a new store"
        )
    op.execute(_BACK)
    op.execute("DELETE FROM bodies WHERE id / 65536 IN (SELECT id FROM blobs)")
    op.drop_table("shared")
    op.drop_table("blobs")
