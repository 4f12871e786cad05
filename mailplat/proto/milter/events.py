"""What a milter is told of a connection and its mail: the data of each command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.proto.milter.negotiation import MacroStage, Steps
from mailplat.proto.milter.packets import MOST_BODY, packet, strings, text
from mailplat.proto.smtp.peer_offers import PeerOffers
from mailplat.proto.smtp.spell import mail_line, rcpt_line

__all__ = [
    "COMMANDS",
    "Command",
    "Telling",
    "chunks",
    "client",
    "fields",
    "macros",
    "recipient_words",
    "sender_words",
]


class Command(StrEnum):
    """What is told (SMFIC)."""

    CONNECT = "C"
    HELO = "H"
    MAIL = "M"
    RCPT = "R"
    DATA = "T"
    HEADER = "L"
    END_OF_HEADERS = "N"
    BODY = "B"
    END_OF_MESSAGE = "E"
    UNKNOWN = "U"


@dataclass(frozen=True, slots=True)
class Telling:
    """How one command is told.

    Attributes:
        unwanted: The step by which a milter says that it does not want it.
        silent: The step by which it says that it does not answer it.
        version: The first one of the protocol that has it.
        macros: Which macros go before it; None for none.
    """

    unwanted: Steps
    silent: Steps
    version: int = 2
    macros: MacroStage | None = None


_NONE = Steps(0)

COMMANDS = {
    Command.CONNECT: Telling(
        Steps.NO_CONNECT, Steps.NO_REPLY_TO_CONNECT, macros=MacroStage.CONNECT
    ),
    Command.HELO: Telling(Steps.NO_HELO, Steps.NO_REPLY_TO_HELO, macros=MacroStage.HELO),
    Command.MAIL: Telling(Steps.NO_MAIL, Steps.NO_REPLY_TO_MAIL, macros=MacroStage.MAIL),
    Command.RCPT: Telling(Steps.NO_RCPT, Steps.NO_REPLY_TO_RCPT, macros=MacroStage.RCPT),
    Command.DATA: Telling(Steps.NO_DATA, Steps.NO_REPLY_TO_DATA, 4, MacroStage.DATA),
    Command.HEADER: Telling(Steps.NO_HEADERS, Steps.NO_REPLY_TO_HEADER),
    Command.END_OF_HEADERS: Telling(
        Steps.NO_END_OF_HEADERS, Steps.NO_REPLY_TO_END_OF_HEADERS, 2, MacroStage.END_OF_HEADERS
    ),
    Command.BODY: Telling(Steps.NO_BODY, Steps.NO_REPLY_TO_BODY),
    Command.END_OF_MESSAGE: Telling(_NONE, _NONE, 2, MacroStage.END_OF_MESSAGE),
    Command.UNKNOWN: Telling(Steps.NO_UNKNOWN, Steps.NO_REPLY_TO_UNKNOWN, 3),
}

_OFFERS = PeerOffers(
    sized=True, eight_bit=True, smtputf8=True, dsn=True, mechanisms=frozenset({"PLAIN"})
)


def client(name: str, address: str, port: int) -> bytes:
    """Tell who connected.

    Args:
        name: The client's confirmed name; ``""`` becomes its address in brackets.
        address: Its IP address; ``""`` for a local socket.
        port: Its port.
    """
    if not address:
        return text(name or "localhost") + b"U"
    family = b"4" if ip_address(address).version == 4 else b"6"
    return text(name or f"[{address}]") + family + port.to_bytes(2, "big") + text(address)


def sender_words(sender: Sender) -> bytes:
    """Tell MAIL: the path in angle brackets, and each parameter."""
    line = mail_line(
        sender,
        _OFFERS,
        size=sender.size or 0,
        body=sender.body,
        smtputf8=sender.smtputf8,
        authenticated=True,
        tls=True,
    )
    words = _parameters(line, b"MAIL FROM:", sender.address)
    return strings(word for word in words if sender.size is not None or word[:5] != b"SIZE=")


def recipient_words(recipient: Recipient) -> bytes:
    """Tell RCPT: the path in angle brackets, and each parameter."""
    line = rcpt_line(recipient, _OFFERS, smtputf8=True)
    return strings(_parameters(line, b"RCPT TO:", recipient.address))


def _parameters(line: bytes, verb: bytes, address: Address | None) -> list[bytes]:
    """Take a command line apart; a blank in the path is none between words."""
    path = f"<{address or ''}>".encode()
    return [path, *line.removeprefix(verb + path).split()]


def fields(header: bytes, *, leading_space: bool) -> Iterator[bytes]:
    """Tell the header, field by field: folds are LF, the last line end is gone.

    Args:
        header: The header.
        leading_space: Whether blanks behind the colon are told too.
    """
    for start, end in headers.spans(header):
        name, _, value = header[start:end].partition(b":")
        value = value.replace(b"\r\n", b"\n").rstrip(b"\n")
        yield strings((name.rstrip(b" \t"), value if leading_space else value.lstrip(b" \t")))


def chunks(block: bytes) -> Iterator[bytes]:
    """Cut a block of the body into what one packet takes."""
    for start in range(0, len(block), MOST_BODY):
        yield block[start : start + MOST_BODY]


def macros(command: Command, names: Iterable[str], values: Mapping[str, str]) -> bytes:
    """Tell macros before a command, those that there are; gives nothing if none is there."""
    known: Sequence[tuple[str, str]] = [(name, values[name]) for name in names if name in values]
    if not known:
        return b""
    pairs = (word for pair in known for word in pair)
    return packet("D", command.encode("ascii") + strings(pairs))
