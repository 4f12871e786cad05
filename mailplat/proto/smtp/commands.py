"""What an SMTP client asks: the events of `proto.smtp.server`, as frozen values.

Each event waits for one answer of the session before the next one comes.  What the client did
wrong, and what needs nobody's opinion (NOOP, HELP, QUIT), never gets this far.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailplat.model.credentials import Credentials
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.reply import Reply
from mailplat.proto.smtp.xclient import Introduction

__all__ = [
    "Block",
    "Data",
    "Event",
    "Expand",
    "Hello",
    "Introduce",
    "Login",
    "Mail",
    "Rcpt",
    "Reset",
    "Spoiled",
    "StartTLS",
    "Verify",
]


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO, HELO or LHLO; accepted, it ends any transaction (RFC 5321 §4.1.4).

    Attributes:
        verb: Which of them.
        name: What the client calls itself.
    """

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class StartTLS:
    """STARTTLS: accepted, everything the client said so far is forgotten (RFC 3207 §4.2)."""


@dataclass(frozen=True, slots=True)
class Login:
    """AUTH came to its end: find out whether these credentials are good (RFC 4954 §4).

    Attributes:
        mechanism: The mechanism's name.
        credentials: What the client presented.
    """

    mechanism: str
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL: begins a transaction (RFC 5321 §4.1.1.2)."""

    sender: Sender


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT: one more recipient (RFC 5321 §4.1.1.3)."""

    recipient: Recipient


@dataclass(frozen=True, slots=True)
class Data:
    """DATA or the first BDAT: the message is about to come, in `Block` events.

    Attributes:
        binary: The client declared BODY=BINARYMIME (RFC 3030 §3).
    """

    binary: bool


@dataclass(frozen=True, slots=True)
class Block:
    """The next bytes of the message.

    Attributes:
        data: As many as came, dots unstuffed; may be none in the last block.
        last: Whether the message is complete: the answer is the one about the message.  To a
            block that is not the last an answer other than acceptance refuses the message;
            the client hears it at the message's end, and no further event tells of it.
    """

    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The message that is coming cannot be taken: forget the transaction, and accept.

    Attributes:
        reply: What the client will be told when its message has ended.
    """

    reply: Reply


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET: forget the transaction (RFC 5321 §4.1.1.5)."""


@dataclass(frozen=True, slots=True)
class Verify:
    """VRFY (RFC 5321 §3.5).

    Attributes:
        text: Whom the client asks about, as it wrote it.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Expand:
    """EXPN (RFC 5321 §3.5).

    Attributes:
        text: The list that the client asks about, as it wrote it.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Introduce:
    """XCLIENT: accepted, the dialogue begins anew with the client that is named."""

    introduction: Introduction


Event = (
    Hello
    | StartTLS
    | Login
    | Mail
    | Rcpt
    | Data
    | Block
    | Spoiled
    | Reset
    | Verify
    | Expand
    | Introduce
)
