"""Tests for `mailplat.proto.smtp.reply_reader` and `mailplat.proto.smtp.peer_offers`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.model.reply import Reply
from mailplat.proto.smtp.peer_offers import PeerOffers, parse_offers
from mailplat.proto.smtp.reply_reader import NoReply, ReplyLimits, ReplyReader


def read(*chunks: bytes, limits: ReplyLimits | None = None) -> list[Reply]:
    """Give the chunks to a new reader; list the replies."""
    reader = ReplyReader(limits or ReplyLimits())
    replies = []
    for data in chunks:
        reader.receive(data)
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("wire", "replies"),
    [
        (b"250 Ok\r\n", [Reply(250, ("Ok",))]),
        (b"250 2.1.0 Ok\r\n354\r\n", [Reply(250, ("Ok",), "2.1.0"), Reply(354, ("",))]),
        (
            b"550-5.1.1 Not\r\n550-at all\r\n550 5.1.1 here\r\n",
            [Reply(550, ("Not", "at all", "here"), "5.1.1")],
        ),
        (b"250-a\n250 b\n", [Reply(250, ("a", "b"))]),  # LF alone harms nobody
        (b"250 4.1.0 other class\r\n", [Reply(250, ("4.1.0 other class",))]),
        (b"421 a\x1b[2Jb\xff\r\n", [Reply(421, ("a?[2Jb\ufffd",))]),  # nothing for a terminal
        (b"550 5.7.1\r\n", [Reply(550, ("",), "5.7.1")]),
    ],
)
def test_reads_replies_at_every_cut(wire: bytes, replies: list[Reply]) -> None:
    """The same bytes hold the same replies, wherever they are cut."""
    for cut in range(len(wire) + 1):
        assert read(wire[:cut], wire[cut:]) == replies, cut


@pytest.mark.parametrize(
    "wire",
    [
        b"hello\r\n",
        b"\r\n",
        b"25 Ok\r\n",
        b"2500 Ok\r\n",
        b"150 Ok\r\n",
        b"650 Ok\r\n",
        b"250?Ok\r\n",
        b"250-a\r\n251 b\r\n",
        b"x" * 101,
        b"250 " + b"x" * 100 + b"\r\n",
        b"250-x\r\n" * 200,
    ],
)
def test_what_is_no_reply(wire: bytes) -> None:
    """Nonsense, and what is longer than allowed, is refused and not guessed at."""
    limits = ReplyLimits(line=100, size=1000)
    with pytest.raises(NoReply):
        read(wire, limits=limits)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_a_reply_or_none(data: bytes, cut: int) -> None:
    """No bytes raise anything but `NoReply`, and cuts do not matter."""

    def outcome(*chunks: bytes) -> object:
        try:
            return read(*chunks)
        except NoReply:
            return None

    assert outcome(data) == outcome(data[:cut], data[cut:])


def test_offers() -> None:
    """Keywords are read in any case, and what cannot be read is not offered."""
    lines = (
        "mx.example hello",
        "pipelining",
        "SIZE 1000",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
        "CHUNKING",
        "BINARYMIME",
        "STARTTLS",
        "REQUIRETLS",
        "AUTH PLAIN",
        "AUTH=LOGIN cram-md5",
        "LIMITS MAILMAX=5 RCPTMAX=10 X=y",
        "",
    )
    assert parse_offers(Reply(250, lines), extended=True) == PeerOffers(
        "mx.example",
        extended=True,
        pipelining=True,
        size=1000,
        sized=True,
        eight_bit=True,
        smtputf8=True,
        dsn=True,
        chunking=True,
        binary=True,
        starttls=True,
        require_tls=True,
        mechanisms=frozenset(("PLAIN", "LOGIN", "CRAM-MD5")),
        recipients=10,
        messages=5,
    )
    little = Reply(250, ("", "SIZE 0", "BINARYMIME", "LIMITS RCPTMAX=x"))
    assert parse_offers(little, extended=True) == PeerOffers("", extended=True, sized=True)
    assert parse_offers(Reply(250, ("me", "SIZE 5")), extended=False) == PeerOffers("me")
