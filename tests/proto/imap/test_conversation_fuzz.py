"""Whatever comes, a conversation raises nothing, holds little, and finds the end of it."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.proto.imap.commands.append import Append, AppendData, AppendNext, Replace
from mailplat.proto.imap.commands.event import Aborted, Event
from mailplat.proto.imap.conversation import ServerConversation
from mailplat.proto.imap.limits import Limits
from mailplat.proto.imap.syntax import State

LIMITS = Limits(
    line_before_login=200,
    line=300,
    authenticate_line=200,
    literal=200,
    command=600,
    message=1000,
    drained=2000,
    drained_before_login=500,
    bad_commands=1000,
    block=64,
)

WORDS = st.sampled_from(
    [
        b"a", b"b", b" ", b"\r\n", b"\n", b"\r", b"(", b")", b'"', b"\\", b"{3}\r\n", b"{5+}\r\n",
        b"~{2+}\r\n", b"{99999999+}\r\n", b"*", b"$", b"1:*", b"1,2", b"NIL", b"\x00", b"\xff",
        b"NOOP", b"LOGIN", b"AUTHENTICATE", b"PLAIN", b"SELECT", b"inbox", b"FETCH", b"UID",
        b"FLAGS", b"BODY[", b"]", b"HEADER.FIELDS", b"<0.1>", b"SEARCH", b"OR", b"NOT", b"ALL",
        b"APPEND", b"IDLE", b"DONE", b"STORE", b"+FLAGS", b"\\Seen", b"LIST", b"RETURN", b"STATUS",
        b"SORT", b"THREAD", b"UTF-8", b"REPLACE", b"ENABLE", b"COMPRESS", b"STARTTLS", b"LOGOUT",
        b"UTF8", b"COPY", b"CHANGEDSINCE", b"QRESYNC", b"0", b"4294967296",
    ]
)  # fmt: skip

INPUTS = st.lists(
    st.one_of(st.lists(WORDS, max_size=12).map(b" ".join), WORDS, st.binary(max_size=40)),
    max_size=25,
)


ANSWER = re.compile(rb"[*+] [^\r\n]+|[^ \r\n]+ (OK|NO|BAD) [^\r\n]+")


def drive(state: State, chunks: list[bytes], *, accepts: bool) -> tuple[list[Event], bytes]:
    """Feed chunks to a conversation that is always answered; check its bounds all the while."""
    conversation = ServerConversation(limits=LIMITS)
    conversation.state = state
    events: list[Event] = []
    output = b""
    for chunk in [*chunks, None]:
        if chunk is None:
            conversation.end_of_input()
        else:
            conversation.receive(chunk)
        while (event := conversation.next_event()) is not None:
            last = events[-1] if events else None
            if isinstance(event, AppendData) and isinstance(last, AppendData):
                events[-1] = AppendData(last.data + event.data)
            else:
                events.append(event)
            if isinstance(event, (AppendData, Aborted)):
                continue
            if accepts and isinstance(event, (Append, AppendNext, Replace)):
                conversation.accept()
            else:
                conversation.ok("done")
        output += conversation.bytes_to_send()
        assert len(conversation._fragments) <= 302 or conversation.closing
    assert conversation.closing or conversation.wants_tls
    return events, output


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(State)[:3]), INPUTS, st.booleans(), st.data())
def test_nothing_raises_and_cuts_do_not_matter(
    state: State, parts: list[bytes], accepts: bool, data: st.DataObject
) -> None:
    """Random commands and junk: the same events and answers, however they are cut."""
    wire = b"".join(parts)
    whole = drive(state, [wire], accepts=accepts)
    places = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    bounds = [0, *places, len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(bounds)]
    assert drive(state, pieces, accepts=accepts) == whole
    for line in whole[1].split(b"\r\n")[:-1]:
        assert (
            line.startswith((b"* ", b"+ "))
            or b" OK " in line
            or b" BAD " in line
            or b" NO " in line
        )
        assert b"\n" not in line
        assert b"\r" not in line


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600))
def test_binary_junk(wire: bytes) -> None:
    """Bytes without any sense."""
    for state in list(State)[:3]:
        drive(state, [wire], accepts=True)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"{%d+}", b"~{%d+}"]))
def test_a_literal_is_never_a_command(data: bytes, form: bytes) -> None:
    """Whatever command it stands in, known or not, a literal's bytes are data."""
    for start in (b"a FOO ", b"a LOGIN ", b"a SEARCH TEXT ", b"a SELECT ", b"a \x00 "):
        wire = start + form % len(data) + b"\r\n" + data + b"\r\nz CAPABILITY\r\n"
        events, output = drive(State.SELECTED, [wire], accepts=True)
        assert [type(event).__name__ for event in events][-1] == "Capability"
        assert len(events) <= 2
        assert output.endswith(b"z OK done\r\n")
