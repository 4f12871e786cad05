"""Everything that a client can say to mailplat's IMAP server, before plugins add to it."""

from __future__ import annotations

from mailplat.proto.imap.mailbox_commands import MAILBOX_COMMANDS
from mailplat.proto.imap.message_commands import MESSAGE_COMMANDS
from mailplat.proto.imap.session_commands import SESSION_COMMANDS
from mailplat.proto.imap.syntax import Grammar

__all__ = ["GRAMMAR"]

GRAMMAR = Grammar({**SESSION_COMMANDS, **MAILBOX_COMMANDS, **MESSAGE_COMMANDS})
"""IMAP4rev1, IMAP4rev2 and the extensions named in docs/rfc.txt."""
