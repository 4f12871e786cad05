"""What tests of all stores share."""

from __future__ import annotations

import pytest

from mailplat.interfaces.upkeep import FaultKind


@pytest.fixture
def spoiled_index() -> dict[FaultKind, str]:
    """Statements that spoil what an index has of alice, by the fault that comes of it."""
    inbox = (
        "(SELECT b.id FROM mailboxes b JOIN homes h ON h.id = b.home"
        " WHERE h.account = 'alice' AND b.name = 'INBOX')"
    )
    third = f"(SELECT content FROM messages WHERE mailbox = {inbox} AND uid = 3)"
    return {
        FaultKind.COUNT: "UPDATE mailboxes SET messages = messages + 3, unseen = 0, size = 1,"
        f" recent = 9, log_rows = 7 WHERE id = {inbox};"
        "UPDATE homes SET storage = storage + 5 WHERE account = 'alice'",
        FaultKind.SUMMARY: f"UPDATE contents SET version = 0 WHERE id = {third};"
        f"DELETE FROM headers WHERE content = {third}",
        FaultKind.LEFTOVER: "INSERT INTO headers (content, header) VALUES (99999, x'00');"
        "INSERT INTO subscriptions (home, name) VALUES (99999, 'INBOX')",
        FaultKind.BODY: f"DELETE FROM bodies WHERE id >> 16 = {third}",
    }
