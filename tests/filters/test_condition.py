"""Tests for `mailplat.filters.condition`: who is asked about what."""

from __future__ import annotations

from typing import Any

import pytest

from mailplat.filters.condition import ALWAYS, Condition
from mailplat.interfaces.filters import Context, Mail, Stage
from mailplat.interfaces.hooks import QueuedMail
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.spool.intake import MemoryBody

HERE, THERE = Recipient(Address("a", "Here.example")), Recipient(Address("b", "there.example"))
FROM = Sender(Address("s", "From.example"))


def is_local(domain: str) -> bool:
    """Tell whether a domain is ours."""
    return domain == "here.example"


def context(**known: Any) -> Context:
    """A connection."""
    return Context("s1", "mx", Peer("192.0.2.1", 1, "192.0.2.2", 25), **known)


def mail(size: int = 100) -> Mail:
    """A message of some size."""
    return Mail("q", Envelope(FROM, (HERE,)), b"\r\n", MemoryBody(b"x" * size))


@pytest.mark.parametrize(
    ("condition", "stage", "known", "subject", "expected"),
    [
        (ALWAYS, Stage.CONNECT, {}, (), True),
        (Condition(authenticated=True), Stage.CONNECT, {}, (), True),  # not known yet
        (Condition(authenticated=True), Stage.SENDER, {}, (FROM,), False),
        (Condition(authenticated=True), Stage.AUTH, {}, (Account("a"),), True),
        (Condition(authenticated=False), Stage.AUTH, {}, (Account("a"),), False),
        (Condition(authenticated=False), Stage.SENDER, {}, (FROM,), True),
        (Condition(authenticated=False), Stage.SENDER, {"account": Account("a")}, (FROM,), False),
        (Condition(sender_domains=frozenset({"from.example"})), Stage.SENDER, {}, (FROM,), True),
        (Condition(sender_domains=frozenset({"x.example"})), Stage.SENDER, {}, (FROM,), False),
        (Condition(sender_domains=frozenset({"x.example"})), Stage.HELLO, {}, ("h",), True),
        (
            Condition(sender_domains=frozenset({"x.example"})),
            Stage.MESSAGE,
            {"sender": Sender(None)},
            (mail(),),
            False,
        ),
        (
            Condition(recipient_domains=frozenset({"here.example"})),
            Stage.MESSAGE,
            {"recipients": [THERE, HERE]},
            (mail(),),
            True,
        ),
        (
            Condition(recipient_domains=frozenset({"here.example"})),
            Stage.RECIPIENT_OF_MESSAGE,
            {"recipients": [THERE, HERE]},
            (mail(), THERE),
            False,
        ),
        (Condition(local=True), Stage.RECIPIENT, {}, (HERE,), True),
        (Condition(local=False), Stage.RECIPIENT, {}, (HERE,), False),
        (Condition(local=False), Stage.MESSAGE, {"recipients": [HERE, THERE]}, (mail(),), True),
        (Condition(size_to=99), Stage.MESSAGE, {}, (mail(),), False),
        (Condition(size_to=100), Stage.MESSAGE, {}, (mail(),), True),
        (Condition(size_from=101), Stage.MESSAGE, {}, (mail(),), False),
        (Condition(size_to=9), Stage.SENDER, {}, (Sender(None, size=10),), False),
        (Condition(size_to=9), Stage.SENDER, {}, (FROM,), True),
        (Condition(local=False), Stage.DISCONNECT, {"recipients": [HERE]}, (), True),
    ],
)
def test_holds(
    condition: Condition, stage: Stage, known: Any, subject: tuple[Any, ...], expected: bool
) -> None:
    """Each condition counts where it can be known, and nowhere else."""
    assert condition.holds(stage, context(**known), subject, is_local) is expected


def test_holds_in_the_queue() -> None:
    """In the queue, sender, recipients and size are known."""
    queued = QueuedMail("q", FROM, (THERE,), 0, size=10)
    assert Condition(local=False, size_to=10).holds_in_queue(queued, is_local)
    assert not Condition(local=True).holds_in_queue(queued, is_local)
    assert not Condition(size_from=11).holds_in_queue(queued, is_local)
