"""What a client's conversation tells its owner, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailplat.model.reply import Reply
from mailplat.proto.sasl.scram_client import Derivation
from mailplat.proto.smtp.transfer import Result

__all__ = [
    "ClientEvent",
    "ContentWanted",
    "Gone",
    "Handed",
    "KeyWanted",
    "LoginAnswered",
    "Phase",
    "Ready",
    "TLSAnswered",
]


class Phase(Enum):
    """What is waited for; each has a time-out of its own (RFC 5321 §4.5.3.2)."""

    GREETING = "the greeting"
    HELLO = "the answer to EHLO"
    STARTTLS = "the answer to STARTTLS"
    LOGIN = "the answer to AUTH"
    IDLE = "a mail to send"
    MAIL = "the answer to MAIL"
    RCPT = "the answer to RCPT"
    DATA = "the answer to DATA"
    CONTENT = "the message to be sent"
    CHUNK = "the answer to BDAT"
    END = "the answer to the message"
    RESET = "the answer to RSET"
    QUIT = "the answer to QUIT"


@dataclass(frozen=True, slots=True)
class Ready:
    """The server was greeted; what it offers is known."""


@dataclass(frozen=True, slots=True)
class TLSAnswered:
    """STARTTLS was answered; if positively, TLS has to begin now."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """A log-in goes on once a key is derived: in a thread, then `give_key`."""

    derivation: Derivation


@dataclass(frozen=True, slots=True)
class LoginAnswered:
    """AUTH was answered."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """The message's bytes are wanted: give them by `ClientConversation.content`."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A transfer is over: a result for each of its recipients, in their order."""

    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """The conversation is over; the reply says why."""

    reply: Reply


ClientEvent = Ready | TLSAnswered | KeyWanted | LoginAnswered | ContentWanted | Handed | Gone
