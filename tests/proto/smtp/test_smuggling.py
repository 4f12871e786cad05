"""No message can hold another: the matrix of line ends, cuts, commands and fates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from mailplat.model.reply import Reply
from mailplat.proto.smtp.commands import Block, Event, Mail
from mailplat.proto.smtp.offers import Limits

SMUGGLED = b"MAIL FROM:<evil@x>\r\nRCPT TO:<victim@y>\r\nDATA\r\nevil\r\n.\r\n"
ENVELOPE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
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


def cuts(wire: bytes, ending: bytes) -> list[int]:
    """Where to cut: at every byte of the ending and around it, or anywhere for the known ones."""
    if ending in KNOWN:
        return list(range(len(wire) + 1))
    start = wire.index(b"hello") + 4
    return [0, *range(start, min(len(wire), start + len(ending) + 5)), len(wire) - 2, len(wire)]


def split_by_rfc(body: bytes) -> tuple[bytes, bytes]:
    """Find the message and what follows it, the plain way (RFC 5321 §4.5.2)."""
    whole = b"\r\n" + body
    end = whole.index(b"\r\n.\r\n")
    message = whole[: end + 2].replace(b"\r\n.", b"\r\n")[2:]
    return message, whole[end + 5 :]


Fate = tuple[Callable[[Event], Reply | None], Limits, str]

FATES: dict[str, Fate] = {
    "accepted": (lambda event: None, Limits(bare_newlines=True), "250 2.0.0"),
    "bare newlines refused": (lambda event: None, Limits(), "550 5.6.0"),
    "refused at the end": (refuse_at_end, Limits(bare_newlines=True), "550 5.7.1"),
    "refused at once": (refuse_first_block, Limits(bare_newlines=True), "550 5.7.1"),
    "too big": (lambda event: None, Limits(message_size=10), "552 5.3.4"),
    "line too long": (lambda event: None, Limits(bare_newlines=True, text_line=4), "550 5.6.0"),
}


def has_bare(message: bytes) -> bool:
    """Whether a CR or LF stands alone."""
    rest = message.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


def hold(make: Any, fate: Fate, commands: bytes, wire: bytes, message: bytes, cut: int) -> None:
    """One message, one answer at its true end, and the next command is a command again."""
    decide, limits, code = fate
    if code == "550 5.6.0" and not limits.bare_newlines and not has_bare(message):
        code = "250 2.0.0"
    client = make(decide, limits=limits)
    client.feed(commands)
    said = client.codes(wire[:cut])
    if cut < len(wire):
        assert said == [], (wire, cut)  # nothing before the true end
        said = client.codes(wire[cut:])
    assert said == [code], (wire, cut)
    assert sum(isinstance(event, Mail) for event in client.events) == 1, (wire, cut)
    assert client.messages == ([message] if code[0] == "2" else []), (wire, cut)
    assert client.codes(b"NOOP\r\n") == ["250 2.0.0"], (wire, cut)


@pytest.mark.parametrize("name", FATES)
def test_data(dialogue: Any, name: str) -> None:
    """DATA with a would-be ending inside: one message, unless the ending is the true one."""
    for ending in ENDINGS:
        inside = b"Subject: hi\r\n\r\nhello" + ending + SMUGGLED
        message, rest = split_by_rfc(inside + b".\r\n")
        # the true end is the ending's, or else the one in the smuggled text
        inside = inside[: len(inside) - len(rest.removesuffix(b".\r\n"))]
        for cut in cuts(inside, ending):
            hold(dialogue, FATES[name], ENVELOPE + b"DATA\r\n", inside, message, cut)


@pytest.mark.parametrize("name", FATES)
def test_bdat(dialogue: Any, name: str) -> None:
    """BDAT with a would-be ending inside: a chunk is what was counted."""
    for ending in ENDINGS[::5]:
        chunk = b"Subject: hi\r\n\r\nhello" + ending + SMUGGLED
        wire = b"BDAT %d LAST\r\n%b" % (len(chunk), chunk)
        for cut in cuts(wire, ending):
            hold(dialogue, FATES[name], ENVELOPE, wire, chunk, cut)


def test_split_of_the_reference() -> None:
    """The plain reference itself finds the true end."""
    assert split_by_rfc(b"a\r\n.\r\nb") == (b"a\r\n", b"b")
    assert split_by_rfc(b"a\n.\n\r\n.\r\n") == (b"a\n.\n\r\n", b"")
