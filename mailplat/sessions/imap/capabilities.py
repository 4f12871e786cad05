"""What a session offers, computed from what it can do at the moment (RFC 9051 §6.1.1).

A capability is listed only if the code behind it is there and the situation allows it, so the
list cannot promise what a command then refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mailplat.proto.imap.syntax import State
from mailplat.sessions.imap.search import ALGORITHMS
from mailplat.sessions.imap.state import SessionState

__all__ = ["ENABLES", "capabilities", "log_in_allowed"]

_ALWAYS = ("IMAP4rev1", "IMAP4rev2", "SASL-IR", "ID", "ENABLE", "IDLE")

_LOGGED_IN = (
    "NAMESPACE",
    "CHILDREN",
    "UIDPLUS",
    "MOVE",
    "UNSELECT",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "CONDSTORE",
    "QRESYNC",
    "MULTIAPPEND",
    "UTF8=ACCEPT",
    "BINARY",
    "PREVIEW",
    "SAVEDATE",
    "OBJECTID",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "PARTIAL",
    "REPLACE",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    *(f"THREAD={algorithm}" for algorithm in ALGORITHMS),
    "XLIST",
)

ENABLES = frozenset({"CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"})
"""What ENABLE can turn on, in capitals (RFC 5161 §3.1)."""


def log_in_allowed(state: SessionState) -> bool:
    """Whether passwords may be sent as things stand: under TLS, or where clear is allowed."""
    return state.link.peer.tls is not None or not state.services.options.auth_needs_tls


def capabilities(state: SessionState) -> list[str]:
    """List what is offered now."""
    return [name for name in _all(state) if state.offers(name.upper())]


def _all(state: SessionState) -> Iterator[str]:
    options = state.services.options
    yield from _ALWAYS
    # RFC 7888 §6: one of both
    yield "LITERAL+" if state.offers("LITERAL+") else "LITERAL-"
    if state.conversation.state is State.NOT_AUTHENTICATED:
        yield from _before_login(state)
    else:
        yield from _LOGGED_IN
        if state.offers("APPENDLIMIT"):
            yield f"APPENDLIMIT={options.message_size}"
        if not state.conversation.compressed:
            yield "COMPRESS=DEFLATE"
    yield from state.services.extensions.capabilities(state)


def _before_login(state: SessionState) -> Iterable[str]:
    if state.link.peer.tls is None and state.services.options.offers_tls:
        yield "STARTTLS"
    if log_in_allowed(state):
        for mechanism in state.mechanisms:
            yield f"AUTH={mechanism}"
    else:
        yield "LOGINDISABLED"  # RFC 9051 §6.2.3
