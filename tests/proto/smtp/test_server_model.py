"""The server's conversation against a plain model of RFC 5321: whatever is asked, in any order.

Commands are written into a wire together with the replies that the model foretells; now and then
the wire is fed, cut anywhere, and the replies and the accepted messages are compared.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mailplat.model.reply import Reply
from mailplat.proto.smtp.commands import Block, Data, Event, Mail, Rcpt
from mailplat.proto.smtp.offers import Limits

NO = Reply.of(550, "No", "5.7.1")
LIMITS = Limits(errors=10**9, messages=10**9, idle_commands=10**9, message_size=40, text_line=30)
BODIES = st.binary(max_size=45) | st.sampled_from(
    [b"a\r\n", b"refuse\r\n", b"..\r\n.a\r\n", b"", b"x" * 41 + b"\r\n", b"a\nb\r\n", b"x" * 35]
)


def answer_for(body: bytes, refused: bool) -> str:
    """Say what a whole message is answered; of two faults, either may be found first."""
    faults = []
    if len(body) > LIMITS.message_size:
        faults.append("552 5.3.4")
    rest = body.replace(b"\r\n", b"")
    bare = b"\r" in rest or b"\n" in rest
    # a LF alone is a fault of its own, and ends a line for the bound of lines
    long = any(len(line) > LIMITS.text_line for line in body.split(b"\r\n")[-1:])
    long = long or any(len(line) + 2 > LIMITS.text_line for line in body.split(b"\r\n")[:-1])
    if bare or long:
        faults.append("550 5.6.0")
    return "|".join(faults) or ("550 5.7.1" if refused else "250 2.0.0")


class Model(RuleBasedStateMachine):
    """A client of any manners, and what RFC 5321 §4.1.4 makes of it."""

    make: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.client = type(self).make(self.decide, hello=False, limits=LIMITS)
        self.wire = b""
        self.replies: list[str] = []
        self.messages: list[bytes] = []
        self.hello = self.tls = False
        self.forget()

    def forget(self) -> None:
        """No mail is under way."""
        self.sender = ""
        self.recipients = 0
        self.chunks: bytes | None = None
        self.spent = False

    def decide(self, event: Event) -> Reply | None:
        """Refuse by the names in the commands and by the beginning of messages."""
        match event:
            case Mail(sender):
                assert sender.address is not None
                self.of_session = sender.address.local
                return NO if self.of_session == "no" else None
            case Rcpt(recipient):
                return NO if recipient.address.local == "no" else None
            case Data():
                self.begun = b""
                return NO if self.of_session == "nodata" else None
            case Block(data, last):
                self.begun += data
                return NO if last and self.begun.startswith(b"refuse") else None
        return None

    def say(self, line: bytes, *replies: str) -> None:
        """Write a command, and what is answered."""
        self.wire += line
        self.replies += replies

    @rule(verb=st.sampled_from([b"EHLO", b"HELO", b"ehlo"]))
    def greet(self, verb: bytes) -> None:
        """EHLO and HELO end a mail."""
        self.say(verb + b" c.example\r\n", "250")
        self.hello = True
        self.forget()

    @rule(name=st.sampled_from(["ann", "ann", "no", "nodata"]))
    def mail(self, name: str) -> None:
        """MAIL begins one."""
        free = self.hello and not (self.sender or self.spent or self.chunks is not None)
        code = "503 5.5.1" if not free else "550 5.7.1" if name == "no" else "250 2.1.0"
        self.say(b"MAIL FROM:<%b@x>\r\n" % name.encode(), code)
        if code == "250 2.1.0":
            self.sender = name

    @rule(name=st.sampled_from(["bob", "bob", "no"]))
    def rcpt(self, name: str) -> None:
        """RCPT needs MAIL, and comes before the message."""
        fits = bool(self.sender) and self.chunks is None
        code = "503 5.5.1" if not fits else "550 5.7.1" if name == "no" else "250 2.1.5"
        self.say(b"RCPT TO:<%b@y>\r\n" % name.encode(), code)
        self.recipients += code == "250 2.1.5"

    @rule(body=BODIES)
    def data(self, body: bytes) -> None:
        """DATA needs a recipient; its message ends where it ends."""
        if not self.sender or self.chunks is not None:
            self.say(b"DATA\r\n", "503 5.5.1")
        elif not self.recipients:
            self.say(b"DATA\r\n", "554 5.5.1")
        elif self.sender == "nodata":
            self.say(b"DATA\r\n", "550 5.7.1")
        else:
            body = body.replace(b"\r\n.\r\n", b"\r\n")
            body = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
            stuffed = (b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:]
            answer = answer_for(body, body.startswith(b"refuse"))
            self.say(b"DATA\r\n" + stuffed + b".\r\n", "354 End", answer)
            if answer[0] == "2":
                self.messages.append(body)
            self.forget()

    @rule(body=BODIES, last=st.booleans())
    def bdat(self, body: bytes, last: bool) -> None:
        """BDAT is read to its end, wanted or not (RFC 3030 §2)."""
        line = b"BDAT %d%b\r\n%b" % (len(body), b" LAST" if last else b"", body)
        if self.spent or not self.sender:
            self.say(line, "503 5.5.1")
            return
        if not self.recipients:
            self.say(line, "554 5.5.1")
            return
        before = self.chunks or b""
        whole = before + body
        refused = self.sender == "nodata"
        answer = "550 5.7.1" if refused else self.of_chunk(before, body, last)
        self.say(line, answer)
        if answer[0] == "2" and not last:
            self.chunks = whole
            return
        if answer[0] == "2":
            self.messages.append(whole)
        self.forget()
        self.spent = answer[0] != "2" and not last

    def of_chunk(self, before: bytes, body: bytes, last: bool) -> str:
        """Judge a chunk by all that came: what may still become right is right."""
        whole = before + body
        if last:
            return answer_for(whole, whole.startswith(b"refuse"))
        if whole.endswith(b"\r") and len(whole) <= LIMITS.message_size:
            whole += b"\n"  # it may
        return answer_for(whole, False)

    @rule(body=BODIES, name=st.sampled_from(["ann", "nodata"]), last=st.booleans())
    def usual(self, body: bytes, name: str, last: bool) -> None:
        """The usual way to a message, which chance alone finds too seldom."""
        self.greet(b"EHLO")
        self.mail(name)
        self.rcpt("bob")
        self.bdat(body, last)

    @rule()
    def rset(self) -> None:
        """RSET ends a mail."""
        self.say(b"RSET\r\n", "250 2.0.0")
        self.forget()

    @rule(
        line=st.sampled_from(
            [
                (b"NOOP\r\n", "250 2.0.0"),
                (b"VRFY ann\r\n", "252 2.5.0"),
                (b"EXPN all\r\n", "502 5.5.1"),
                (b"LHLO c\r\n", "500 5.5.1"),
                (b"FROB x\r\n", "500 5.5.1"),
                (b"MA\0IL\r\n", "500 5.5.2"),
                (b"DATA now\r\n", ""),
                (b"HELP\r\n", "214 2.0.0"),
                (b"x" * 3000 + b"\r\n", "500 5.5.2"),
            ]
        )
    )
    def other(self, line: tuple[bytes, str]) -> None:
        """What changes nothing."""
        text, code = line
        if not code:  # out of order is told first
            known = self.sender and self.chunks is None
            code = (
                "501 5.5.4" if known and self.recipients else "554 5.5.1" if known else "503 5.5.1"
            )
        self.say(text, code)

    @rule()
    def starttls(self) -> None:
        """STARTTLS forgets everything, also what was said behind it (RFC 3207 §4.2)."""
        free = not (self.sender or self.spent)
        code = "503 5.5.1" if not free or self.tls else "220 2.0.0"
        self.say(b"STARTTLS\r\n", code)
        if code == "220 2.0.0":
            self.feed([])
            self.tls, self.hello = True, False
            self.forget()

    @rule(cuts=st.lists(st.integers(0, 400), max_size=5))
    def feed(self, cuts: list[int]) -> None:
        """Send what was written, cut anywhere."""
        said: list[str] = []
        places = [0, *sorted(min(cut, len(self.wire)) for cut in cuts), len(self.wire)]
        for start, end in pairwise(places):
            said += self.client.codes(self.wire[start:end])
        assert len(said) == len(self.replies), (said, self.replies)
        for one, foretold in zip(said, self.replies, strict=True):
            assert one.startswith(tuple(foretold.split("|"))), (said, self.replies)
        self.wire, self.replies = b"", []
        assert self.client.messages == self.messages

    @invariant()
    def open(self) -> None:
        """Nothing of this ends the connection."""
        assert not self.client.conversation.closing

    def teardown(self) -> None:
        """Compare what is left."""
        self.feed([7, 50])


def test_any_order(dialogue: Any) -> None:
    """Each command has its reply, in order, and each accepted message is there once."""
    kept = type("Kept", (Model,), {"make": staticmethod(dialogue)})
    run_state_machine_as_test(
        kept,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    ("body", "answer"),
    [(b"a\r\n", "250 2.0.0"), (b"a\nb", "550 5.6.0"), (b"x" * 41, "552 5.3.4|550 5.6.0")],
)
def test_the_model_itself(body: bytes, answer: str) -> None:
    """The model knows the plain cases."""
    assert answer_for(body, False) == answer
