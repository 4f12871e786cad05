"""One IMAP connection, the server's side: bytes in, `proto.imap.commands` events out.

API first; the machine behind it follows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from mailplat.model.errors import MailError
from mailplat.proto.imap.commands import Event

__all__ = ["Condition", "Limits", "ServerConversation", "State"]


class State(Enum):
    """How far a client has come (RFC 9051 §3)."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


class Condition(Enum):
    """How a command ended (RFC 9051 §7.1)."""

    OK = "OK"
    NO = "NO"
    BAD = "BAD"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may make the server hold; everything in bytes or counts."""

    line_before_login: int = 8192
    line: int = 65536
    authenticate_line: int = 12288
    literal: int = 65536
    literals: int = 100
    command: int = 262144
    message: int = 64 * 1024 * 1024
    drained: int = 64 * 1024 * 1024
    nesting: int = 50
    bad_commands: int = 20
    block: int = 65536


class ServerConversation:
    """The server's side of one connection (see `proto.conversation.Conversation`).

    Attributes:
        state: Set by `logged_in`, `mailbox_opened`, `mailbox_closed`, and the log-out.
        enabled: What ENABLE turned on, in capitals; set by `enable`.
        wants_tls: STARTTLS was answered OK: send what is to be sent, then start TLS and say
            `tls_started`.  Until then input is dropped and no event comes.
        wants_compression: COMPRESS was answered OK: send what is to be sent, then deflate
            and inflate from here on, and say `compression_started`.  `unread` gives the
            bytes that came behind the command: they are compressed already.
    """

    state: State
    enabled: frozenset[str]
    wants_tls: bool
    wants_compression: bool

    # for the transport

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""
        raise NotImplementedError

    @property
    def closing(self) -> bool:
        """Whether the connection ends once the bytes to send are sent."""
        raise NotImplementedError

    def receive(self, data: bytes) -> None:
        """Take bytes from the client, cut anywhere."""

    def end_of_input(self) -> None:
        """The client sends no more; what it asked for before is still answered."""

    def next_event(self) -> Event | None:
        """Give the next thing that is asked; None until input or an answer comes."""

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the client."""
        raise NotImplementedError

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it."""

    def compression_started(self) -> bytes:
        """Input and output are compressed from now on; gives back input that still is."""
        raise NotImplementedError

    # for the session

    def greet(self, text: str, code: str = "", *, logged_in: bool = False) -> None:
        """Say hello: ``* OK``, or ``* PREAUTH`` if the client needs no log-in."""

    def send(self, data: bytes) -> None:
        """Send untagged responses, whole lines of `proto.imap.responses`; any time."""

    def answer(self, condition: Condition, text: str, code: str = "") -> None:
        """End the running command.

        Args:
            condition: How it ended.
            text: For people; never empty.
            code: A response code without its brackets, ``APPENDUID 1 2``.
        """

    def ok(self, text: str = "", code: str = "") -> None:
        """End the running command well; without text it says ``<command> completed``."""

    def no(self, text: str, code: str = "") -> None:
        """End the running command: refused."""

    def bad(self, text: str, code: str = "") -> None:
        """End the running command: it makes no sense here."""

    def refuse(self, error: MailError) -> None:
        """End the running command with an error's public side: NO, its code, its words."""

    def accept(self) -> None:
        """Go on: take the message of `Append`, `AppendNext`, `Replace`, or begin `Idle`."""

    def challenge(self, line: bytes) -> None:
        """Ask the client further in `Authenticate`: base64, without line end."""

    def logged_in(self) -> None:
        """The client is known now; call it before the answer."""

    def mailbox_opened(self) -> None:
        """SELECT or EXAMINE worked; call it before the answer."""

    def mailbox_closed(self) -> None:
        """No mailbox is open any more; call it before the answer."""

    def enable(self, capabilities: Collection[str]) -> None:
        """Turn extensions on; ``UTF8=ACCEPT`` and ``IMAP4REV2`` change how names are spelled."""

    def bye(self, text: str, code: str = "") -> None:
        """End the connection from our side: ``* BYE``; nothing is read any more."""
