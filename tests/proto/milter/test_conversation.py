"""Tests for the milter protocol without a connection: at every cut, and with whatever comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import AddHeader, ChangeHeader, InsertHeader
from mailplat.proto.milter.answers import ACTIONS, Word, modification, reply
from mailplat.proto.milter.changes import made_of
from mailplat.proto.milter.conversation import Answer, MilterConversation, Progress
from mailplat.proto.milter.events import Command, fields
from mailplat.proto.milter.negotiation import Actions, Agreed, MacroStage, Steps, read_agreed
from mailplat.proto.milter.packets import MOST_PACKET, PacketReader, packet, strings

AGREED = packet("O", b"\0\0\0\6\0\0\1\xff\0\0\0\0" + b"\0\0\0\5i {msg_id}\0")
END = (
    packet("p"),
    packet("h", b"X-Seen\0yes\0"),
    packet("i", b"\0\0\0\0X-First\0" + b"1\0"),
    packet("b", b"other\r\n"),
    packet("q", b"odd\0"),
    packet("c"),
)


def conversation() -> MilterConversation:
    """Make one that has agreed."""
    made = MilterConversation()
    made.bytes_to_send()
    made.receive(AGREED)
    assert isinstance(made.next_event(), Agreed)
    return made


def events(one: MilterConversation) -> list[Any]:
    """Take all that there is."""
    return list(iter(one.next_event, None))


@pytest.mark.parametrize("cut", range(len(AGREED)))
def test_negotiation_at_every_cut(cut: int) -> None:
    """Nothing is agreed before the last byte."""
    made = MilterConversation()
    assert made.bytes_to_send() == bytes.fromhex("0000000d4f00000006000001ff001fffff")
    made.receive(AGREED[:cut])
    assert made.next_event() is None
    assert made.waiting
    made.receive(AGREED[cut:])
    agreed = made.next_event()
    assert isinstance(agreed, Agreed)
    assert agreed.macros == {MacroStage.END_OF_MESSAGE: ("i", "{msg_id}")}
    assert not made.waiting


@pytest.mark.parametrize("cut", range(sum(map(len, END)) + 1))
def test_the_end_at_every_cut(cut: int) -> None:
    """The answer with its changes, however it is cut."""
    one = conversation()
    assert one.tell(Command.END_OF_MESSAGE, b"", {"i": "q1"})
    assert one.bytes_to_send() == packet("D", b"Ei\0q1\0") + packet("E")
    whole = b"".join(END)
    one.receive(whole[:cut])
    found = events(one)
    one.receive(whole[cut:])
    found += events(one)
    assert found[0] is Progress.PROGRESS
    (answer,) = found[1:]
    assert isinstance(answer, Answer)
    assert answer.word is Word.CONTINUE
    assert len(answer.changes) == 4
    assert not one.waiting


@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from(sorted(Command)))
@settings(max_examples=150)
def test_whatever_comes(blocks: list[bytes], command: Command) -> None:
    """A milter may send anything: an event, a wait, or an error, and nothing else."""
    one = conversation()
    one.tell(command, b"", {})
    try:
        for block in blocks:
            one.receive(block)
            events(one)
    except Unavailable:
        return
    assert one.waiting or not one._input.pending


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 7))
def test_packets(contents: list[bytes], size: int) -> None:
    """What is written is read, in pieces of any size."""
    data = b"".join(packet("x", one) for one in contents)
    reader, found = PacketReader(), []
    for start in range(0, len(data), size):
        reader.receive(data[start : start + size])
        while (one := reader.next_packet()) is not None:
            found.append(one)
    assert found == [("x", one) for one in contents]
    assert reader.pending == 0


@pytest.mark.parametrize("size", [0, MOST_PACKET + 1, 2**32 - 1])
def test_packets_are_bounded(size: int) -> None:
    """A length that cannot be is an error before anything is kept for it."""
    reader = PacketReader()
    reader.receive(size.to_bytes(4, "big"))
    with pytest.raises(Unavailable):
        reader.next_packet()


@given(st.binary(max_size=80))
@example(b"550 5.7.1 no\0")
@example(b"550-5.7.1 no\r\n550 5.7.1 more\0")
@example(b"450 %%\0")
@settings(max_examples=200)
def test_replies(data: bytes) -> None:
    """What is taken as a reply can be said: a refusal, bounded, in printable ASCII."""
    try:
        made = reply(data)
    except Unavailable:
        return
    assert 400 <= made.code <= 599
    assert made.lines
    assert all(line.isascii() and (line.isprintable()) for line in made.lines)
    assert not made.status or made.status[0] == str(made.code)[0]


def test_a_reply_keeps_its_words() -> None:
    """Code, status and lines; a text that only begins like a status is text."""
    assert reply(b"554 5.7.1 a b\0") == Reply.of(554, "a b", "5.7.1")
    assert reply(b"554 5.7.1\0") == Reply.of(554, "", "5.7.1")
    assert reply(b"554 5.7 a\0") == Reply.of(554, "5.7 a")


@given(st.sampled_from(sorted(ACTIONS)), st.binary(max_size=60), st.booleans())
@example("h", b"X\0a\r\nEvil: b\0", False)
@example("i", b"\0\0\0\1X\0a\n\n.\0", True)
@example("m", b"\xff\xff\xff\xffX\0" + b"y" * 2000 + b"\0", True)
@settings(max_examples=200)
def test_modifications(command: str, data: bytes, leading_space: bool) -> None:
    """A change that is taken can be made, and does not leave its field."""
    try:
        change = modification(command, data, leading_space=leading_space)
    except Unavailable:
        return
    if isinstance(change, InsertHeader | ChangeHeader) and change.value:
        made = headers.exact_field(change.name, change.value)
        assert len(headers.names(made)) == 1


def test_a_long_line_is_folded() -> None:
    """A value that no line may have is written as our own fields are."""
    change = modification("h", b"X\0" + b"word " * 400 + b"\0", leading_space=True)
    assert isinstance(change, InsertHeader)
    assert change.value.count(b"\r\n") > 10


@given(st.binary(max_size=100), st.booleans())
@example(b"A: 1\r\nB:\r\n two\r\njunk\r\n\r\n", True)
def test_fields(header: bytes, leading_space: bool) -> None:
    """As many fields as there are, each of two strings without a line end of two bytes."""
    found = list(fields(header, leading_space=leading_space))
    assert len(found) == len(headers.names(header))
    for one in found:
        assert one.count(b"\0") == 2
        assert one.endswith(b"\0")


def test_what_is_agreed() -> None:
    """No action or step that was not offered."""
    ours = Agreed(6, Actions.ADD_HEADERS, Steps.NO_BODY)
    assert read_agreed(b"\0\0\0\6\0\0\0\1\0\0\0\x10", ours) == ours
    for data in (b"\0\0\0\6\0\0\0\2\0\0\0\0", b"\0\0\0\6\0\0\0\0\0\0\0\1"):
        with pytest.raises(Unavailable):
            read_agreed(data, ours)


def test_macros_on_the_way() -> None:
    """A milter may name its macros later too; strings have no NUL inside."""
    one = conversation()
    assert one.tell(Command.CONNECT, b"", {})
    one.receive(packet("l", b"\0\0\0\1j\0") + packet("c"))
    assert isinstance(one.next_event(), Answer)
    one.bytes_to_send()
    assert one.tell(Command.HELO, strings(["a\0b"]), {"j": "us", "i": "not asked for"})
    assert one.bytes_to_send() == packet("D", b"Hj\0us\0") + packet("H", b"a b\0")


def test_static_numbers() -> None:
    """A milter counts in what it was told: fields that it removes meanwhile are still counted."""
    told = b"A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n"
    wanted = [ChangeHeader("A", number, b"") for number in (1, 3, 3)]
    wanted.append(ChangeHeader("a", 4, b" four"))
    changes, reason = made_of(wanted, told, b"")
    assert reason is None
    assert changes == (
        ChangeHeader("A", 1, b""),
        ChangeHeader("A", 2, b""),
        ChangeHeader("a", 2, b" four"),
    )
    assert not any(isinstance(one, AddHeader) for one in changes)


def test_goodbye() -> None:
    """QUIT, or QUIT_NC and the next connection without another offer."""
    one = conversation()
    assert one.tell(Command.MAIL, b"<>\0", {})
    one.receive(packet("c"))
    assert isinstance(one.next_event(), Answer)
    one.bytes_to_send()
    assert one.reusable
    one.quit(reuse=True)
    assert one.bytes_to_send() == packet("A") + packet("K")
    assert one.tell(Command.CONNECT, b"", {})
    one.quit()
    assert one.bytes_to_send() == packet("C") + packet("Q")
