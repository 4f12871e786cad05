"""No message can hold another: the matrix of line ends, cuts, commands and fates."""

from __future__ import annotations

from itertools import product

import pytest

from mailplat.model.reply import Reply
from mailplat.proto.smtp.commands import Block, Data, Event, Mail
from mailplat.proto.smtp.offers import Limits

SMUGGLED = b"MAIL FROM:<evil@x>\r\nRCPT TO:<victim@y>\r\nDATA\r\nevil\r\n.\r\n"
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


@pytest.mark.parametrize("ending", ENDINGS, ids=repr)
def test_data(dialogue, ending: bytes) -> None:  # type: ignore[no-untyped-def]
    """DATA with a would-be ending inside: one message unless the ending is the true one."""
    inside = b"Subject: hi\r\n\r\nhello" + ending + SMUGGLED
    message, rest = split_by_rfc(inside + b".\r\n")
    if rest:  # the ending is a true one, or the smuggled text's own is the first true one
        rest = rest.removesuffix(b".\r\n")
    bare = b"\n" in message.replace(b"\r\n", b"") or b"\r" in message.replace(b"\r\n", b"")
    wire = inside[: len(inside) - len(rest)] if rest else inside
    fates = (
        (None, Limits(bare_newlines=True), "250 2.0.0"),
        (None, Limits(), "550 5.6.0" if bare else "250 2.0.0"),
        (refuse_at_end, Limits(bare_newlines=True), "550 5.7.1"),
        (refuse_first_block, Limits(bare_newlines=True), "550 5.7.1"),
        (None, Limits(message_size=10), "552 5.3.4"),
        (None, Limits(bare_newlines=True, text_line=4), "550 5.6.0"),
    )
    for decide, limits, code in fates:
        for cut in cuts(wire, ending):
            client = dialogue(*([decide] if decide else []), limits=limits)
            client.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")
            said = client.codes(wire[:cut])
            if cut < len(wire):
                assert said == []  # nothing before the true end
                said = client.codes(wire[cut:])
            assert said == [code], (decide, limits, cut)
            assert sum(isinstance(event, Mail) for event in client.events) == 1
            assert client.messages == ([message] if code[0] == "2" else [])
            assert client.codes(b"NOOP\r\n") == ["250 2.0.0"]


@pytest.mark.parametrize("ending", ENDINGS[::7], ids=repr)
def test_bdat(dialogue, ending: bytes) -> None:  # type: ignore[no-untyped-def]
    """BDAT with a would-be ending inside: a chunk is what was counted."""
    chunk = b"Subject: hi\r\n\r\nhello" + ending + SMUGGLED
    bare = b"\n" in chunk.replace(b"\r\n", b"") or b"\r" in chunk.replace(b"\r\n", b"")
    wire = b"BDAT %d LAST\r\n%b" % (len(chunk), chunk)
    fates = (
        (None, Limits(bare_newlines=True), "250 2.0.0"),
        (None, Limits(), "550 5.6.0" if bare else "250 2.0.0"),
        (refuse_at_end, Limits(bare_newlines=True), "550 5.7.1"),
        (lambda e: REFUSED if isinstance(e, Data) else None, Limits(), "550 5.7.1"),
        (None, Limits(message_size=10), "552 5.3.4"),
        (None, Limits(bare_newlines=True, text_line=4), "550 5.6.0"),
    )
    for decide, limits, code in fates:
        for cut in cuts(wire, ending)[:-1]:
            client = dialogue(*([decide] if decide else []), limits=limits)
            client.feed(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
            assert client.codes(wire[:cut]) == []
            assert client.codes(wire[cut:]) == [code], (decide, limits, cut)
            assert sum(isinstance(event, Mail) for event in client.events) == 1
            assert client.messages == ([chunk] if code[0] == "2" else [])
            assert client.codes(b"NOOP\r\n") == ["250 2.0.0"]


def test_split_of_the_reference() -> None:
    """The plain reference itself finds the true end."""
    assert split_by_rfc(b"a\r\n.\r\nb") == (b"a\r\n", b"b")
    assert split_by_rfc(b"a\n.\n\r\n.\r\n") == (b"a\n.\n\r\n", b"")
