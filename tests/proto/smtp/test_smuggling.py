"""No message can hold another: the matrix of line ends, cuts, commands and fates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from mailplat.model.reply import Reply
from mailplat.proto.smtp.commands import Block, Event, Mail
from mailplat.proto.smtp.offers import Limits

SMUGGLED = b"MAIL FROM:<e@x>\r\nRCPT TO:<v@y>\r\nDATA\r\ne\r\n.\r\n"
ENVELOPE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
BEFORE = b"S:h\r\n\r\nhi"
REFUSED = Reply.of(550, "No", "5.7.1")
PARTS = (b"\r", b"\n", b".", b"\0", b"\r\n")
KNOWN = {
    b"\r\n.\r\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n.\r\n",
    b"\r\n.\r\r\n",
    b"\r\n..\r\n",
    b"\n\n.\n\n",
}
ENDINGS = sorted({b"".join(parts) for n in (1, 2, 3) for parts in product(PARTS, repeat=n)} | KNOWN)


def refuse_at_end(event: Event) -> Reply | None:
    """Refuse each message once it is complete."""
    return REFUSED if isinstance(event, Block) and event.last else None


def refuse_first_block(event: Event) -> Reply | None:
    """Refuse each message as soon as something of it is there."""
    return REFUSED if isinstance(event, Block) else None


def split_by_rfc(body: bytes) -> tuple[bytes, bytes]:
    """Find the message and what follows it, the plain way (RFC 5321 §4.5.2)."""
    whole = b"\r\n" + body
    end = whole.index(b"\r\n.\r\n")
    message = whole[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
    return message, whole[end + 5 :]


Fate = tuple[Callable[[Event], Reply | None], Limits, str]

ENDLESS: dict[str, Any] = dict.fromkeys(("errors", "messages", "idle_commands"), 10**9)
OPEN = Limits(bare_newlines=True, **ENDLESS)
FATES: dict[str, Fate] = {
    "accepted": (lambda event: None, OPEN, "250 2.0.0"),
    "mended": (lambda event: None, Limits(mend_newlines=True, **ENDLESS), "250 2.0.0"),
    "bare newlines refused": (lambda event: None, Limits(**ENDLESS), "550 5.6.0"),
    "refused at the end": (refuse_at_end, OPEN, "550 5.7.1"),
    "refused at once": (refuse_first_block, OPEN, "550 5.7.1"),
    "too big": (lambda event: None, replace(OPEN, message_size=10), "552 5.3.4"),
    "line too long": (lambda event: None, replace(OPEN, text_line=4), "550 5.6.0"),
}


def has_bare(message: bytes) -> bool:
    """Whether a CR or LF stands alone."""
    rest = message.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


def mended(message: bytes) -> bytes:
    """Make every line end a CRLF, the plain way: a LF alone is one, a CR alone a blank."""
    lines = message.split(b"\r\n")
    return b"\r\n".join(line.replace(b"\r", b" ").replace(b"\n", b"\r\n") for line in lines)


def hold(client: Any, fate: Fate, commands: bytes, wire: bytes, message: bytes, cut: int) -> None:
    """One message, one answer at its true end, and the next command is a command again."""
    _, limits, code = fate
    strict = not limits.bare_newlines and not limits.mend_newlines
    if code == "550 5.6.0" and strict and not has_bare(message):
        code = "250 2.0.0"
    client.events.clear()
    client.messages.clear()
    client.feed(commands)
    said = client.codes(wire[:cut])
    if cut < len(wire):
        assert said == [], (wire, cut)  # nothing before the true end
        said = client.codes(wire[cut:])
    assert said == [code], (wire, cut)
    assert sum(isinstance(event, Mail) for event in client.events) == 1, (wire, cut)
    expected = mended(message) if limits.mend_newlines else message
    assert client.messages == ([expected] if code[0] == "2" else []), (wire, cut)
    assert client.codes(b"NOOP\r\n") == ["250 2.0.0"], (wire, cut)


@pytest.mark.parametrize("name", FATES)
def test_data(dialogue: Any, name: str) -> None:
    """DATA with a would-be ending inside: one message, unless the ending is the true one."""
    fate = FATES[name]
    client = dialogue(fate[0], limits=fate[1])
    for ending in ENDINGS:
        inside = BEFORE + ending + SMUGGLED
        message, rest = split_by_rfc(inside + b".\r\n")
        # the true end is the ending's, or else the one in the smuggled text
        inside = inside[: len(inside) - len(rest.removesuffix(b".\r\n"))]
        for cut in range(len(inside) + 1):
            hold(client, fate, ENVELOPE + b"DATA\r\n", inside, message, cut)


@pytest.mark.parametrize("name", FATES)
def test_bdat(dialogue: Any, name: str) -> None:
    """BDAT with a would-be ending inside: a chunk is what was counted."""
    fate = FATES[name]
    client = dialogue(fate[0], limits=fate[1])
    for ending in ENDINGS:
        chunk = BEFORE + ending + SMUGGLED
        wire = b"BDAT %d LAST\r\n%b" % (len(chunk), chunk)
        for cut in range(len(wire) + 1):
            hold(client, fate, ENVELOPE, wire, chunk, cut)


@pytest.mark.parametrize("name", FATES)
def test_a_byte_at_a_time(dialogue: Any, name: str) -> None:
    """The same with everything cut everywhere, commands included, and in two chunks."""
    fate = FATES[name]
    for ending in ENDINGS:
        body = BEFORE + ending + SMUGGLED
        message, rest = split_by_rfc(body + b".\r\n")
        data = body[: len(body) - len(rest.removesuffix(b".\r\n"))]
        halves = body[:9], body[9:]
        chunks = b"".join(
            b"BDAT %d%b\r\n%b" % (len(half), last, half)
            for half, last in zip(halves, (b"", b" LAST"), strict=True)
        )
        for commands, whole in (
            (ENVELOPE + b"DATA\r\n" + data, message),
            (ENVELOPE + chunks, body),
        ):
            client = dialogue(fate[0], limits=fate[1])
            for byte in ENVELOPE + commands:
                client.feed(bytes([byte]))
            assert client.codes(b"NOOP\r\n") == ["250 2.0.0"]
            assert sum(isinstance(event, Mail) for event in client.events) == 1
            expected = mended(whole) if fate[1].mend_newlines else whole
            assert client.messages in ([], [expected])
            assert bool(client.messages) is (
                name in ("accepted", "mended")
                or (name == "bare newlines refused" and not has_bare(whole))
            )


def test_split_of_the_reference() -> None:
    """The plain reference itself finds the true end."""
    assert split_by_rfc(b"a\r\n.\r\nb") == (b"a\r\n", b"b")
    assert split_by_rfc(b"a\n.\n\r\n.\r\n") == (b"a\n.\n\r\n", b"")
    assert mended(b"a\nb\rc\r\r\n\n\r\n") == b"a\r\nb c \r\n\r\n\r\n"
