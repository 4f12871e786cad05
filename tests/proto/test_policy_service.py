"""Tests for the policy services' protocol: actions to the letter, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.errors import Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import InsertHeader
from mailplat.proto.policy_service import Doing, PolicyAnswer, read_answer, request


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (b"DUNNO", PolicyAnswer(Doing.CONTINUE)),
        (b"ok", PolicyAnswer(Doing.CONTINUE)),
        (b"reject", PolicyAnswer(Doing.REJECT, "", Reply.of(554, "Access denied", "5.7.1"))),
        (b"REJECT no", PolicyAnswer(Doing.REJECT, "no", Reply.of(554, "no", "5.7.1"))),
        (b"REJECT 5.1.8 no", PolicyAnswer(Doing.REJECT, "5.1.8 no", Reply.of(554, "no", "5.1.8"))),
        (b"REJECT 4.1.8 x", PolicyAnswer(Doing.REJECT, "4.1.8 x", Reply.of(554, "x", "5.7.1"))),
        (b"DEFER later", PolicyAnswer(Doing.DEFER, "later", Reply.of(450, "later", "4.7.1"))),
        (
            b"DEFER_IF_PERMIT Greylisted",
            PolicyAnswer(Doing.DEFER, "Greylisted", Reply.of(450, "Greylisted", "4.7.1")),
        ),
        (b"421 bye", PolicyAnswer(Doing.DEFER, "bye", Reply.of(421, "bye", "4.7.1"))),
        (b"550 5.1.1 no", PolicyAnswer(Doing.REJECT, "5.1.1 no", Reply.of(550, "no", "5.1.1"))),
        (b"HOLD look", PolicyAnswer(Doing.HOLD, "look")),
        (b"DISCARD", PolicyAnswer(Doing.DISCARD)),
        (b"WARN \xc3\xa9", PolicyAnswer(Doing.NOTE, "?")),
        (
            b"PREPEND X-A: b c",
            PolicyAnswer(Doing.PREPEND, "X-A: b c", field=InsertHeader("X-A", b" b c", 0)),
        ),
        (
            b"REDIRECT a@b.example",
            PolicyAnswer(Doing.REDIRECT, "a@b.example", address=Address("a", "b.example")),
        ),
        (
            b"BCC <a@b.example>",
            PolicyAnswer(Doing.BCC, "<a@b.example>", address=Address("a", "b.example")),
        ),
    ],
)
def test_actions(action: bytes, expected: PolicyAnswer) -> None:
    """Each action in any case, with its words."""
    assert read_answer(b"action=" + action) == expected


@given(st.binary(max_size=60))
@example(b"")
@example(b"action=")
@example(b"action=FILTER smtp:[127.0.0.1]")
@example(b"action=DEFER_IF_REJECT x")
@example(b"action=reject_unauth_destination")
@example(b"action=250 fine")
@example(b"action=DUNNO\naction=REJECT")
@example(b"action=PREPEND nothing")
@example(b"action=BCC a@b\x00")
def test_nothing_else(data: bytes) -> None:
    """Whatever else comes is an error."""
    with pytest.raises(Unavailable):
        read_answer(data)


@given(st.sampled_from(["REJECT", "450", "PREPEND", "HOLD", "INFO"]), st.text(max_size=500))
def test_words(word: str, text: str) -> None:
    """Words that are taken can be said, in one line."""
    try:
        answer = read_answer(f"action={word} {text}".encode("utf-8", "replace"))
    except Unavailable:
        return
    assert answer.text.isascii()
    assert "\n" not in answer.text
    if answer.reply is not None:
        assert all(line.isprintable() for line in answer.reply.lines)
    if answer.field is not None:
        assert headers.exact_field(answer.field.name, answer.field.value)


@given(st.text(max_size=50))
@example("a\nsender=b\n\naction=x")
def test_requests(value: str) -> None:
    """A value is one line, whatever the peer said."""
    made = request({"helo_name": value, "sender": "x"})
    assert made.startswith(b"request=smtpd_access_policy\nhelo_name=")
    assert made.endswith(b"\nsender=x\n\n")
    assert made.count(b"\n") == 4
