"""UNAUTHENTICATE (RFC 8437), as an extension: log out, and stay connected.

For whoever keeps connections open and reads the mail of many: a webmailer, a proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailplat.interfaces.imap_extensions import Answer, IIMAPSession, IMAPExtension
from mailplat.proto.imap.commands.event import Command
from mailplat.proto.imap.syntax import LOGGED_IN, Grammar, Syntax
from mailplat.proto.imap.tokens import Tokens

__all__ = ["Unauthenticate", "UnauthenticateExtension"]


@dataclass(frozen=True, slots=True)
class Unauthenticate(Command):
    """Log out and stay connected (RFC 8437 §3)."""


def _read(tokens: Tokens, tag: bytes) -> Unauthenticate:
    tokens.end()
    return Unauthenticate(tag)


async def _answer(session: IIMAPSession, command: Unauthenticate) -> None:
    session.log_out()
    session.conversation.ok()


class UnauthenticateExtension(IMAPExtension):
    """Offers UNAUTHENTICATE to who is logged in."""

    capability = "UNAUTHENTICATE"
    grammar = Grammar({b"UNAUTHENTICATE": Syntax(LOGGED_IN, _read)})
    answers: Mapping[type, Answer] = {Unauthenticate: _answer}
