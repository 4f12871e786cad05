"""Tests for `mailplat.filters.chain`: whatever a filter does, the chain gives one verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailplat.filters.breaker import Breaker
from mailplat.filters.chain import Chain, Chains, Rule
from mailplat.filters.condition import Condition
from mailplat.filters.reports import Reports
from mailplat.interfaces.filters import (
    Context,
    IChain,
    IChains,
    IFilter,
    IStages,
    Mail,
    Stage,
    Stages,
)
from mailplat.interfaces.hooks import Denial
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Notify, Recipient, Return, Sender
from mailplat.model.peer import Peer
from mailplat.model.reply import Reply
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddHeader,
    AddRecipient,
    Change,
    ChangeSender,
    RemoveRecipient,
    Score,
    Tag,
    Verdict,
)
from mailplat.spool.intake import MemoryBody
from mailplat.testing.strict import LoggedErrors

ALICE, BOB = Address("alice", "example.org"), Address("bob", "example.org")


@implementer(IFilter)
class Says:
    """A filter that answers every sender with what it was made with."""

    def __init__(
        self, answer: Callable[[], Any], stages: Sequence[Stage] = (Stage.SENDER,)
    ) -> None:
        self.name = "says"
        self.stages = stages
        self.asked = 0
        self._answer = answer

    def open(self) -> IStages:
        """See `IFilter.open`."""
        outer = self

        @implementer(IStages)
        class Saying(Stages):
            def sender(self, context: Context, sender: Sender) -> Any:
                outer.asked += 1
                return outer._answer()

            def hello(self, context: Context, name: str) -> Any:
                outer.asked += 1
                return outer._answer()

        return Saying()


def context() -> Context:
    """A connection in the middle of a transaction."""
    peer = Peer("192.0.2.1", 4000, "192.0.2.2", 25)
    return Context("s1", "mx", peer, sender=Sender(ALICE), recipients=[Recipient(BOB)])


def chain(*answers: Callable[[], Any] | Says, clock: Clock | None = None) -> Chain:
    """A chain of filters that answer so."""
    filters = [answer if isinstance(answer, Says) else Says(answer) for answer in answers]
    rules = [Rule(one, timeout=5, max_changes=10) for one in filters]
    opened = Chains(rules, clock or Clock()).open_chain(context())
    assert isinstance(opened, Chain)
    return opened


def saying(action: Action, *changes: Change) -> Callable[[], Verdict]:
    """A filter's answer."""
    return lambda: Verdict(action, changes=changes)


def test_provides() -> None:
    """The chain keeps its interface's signatures."""
    verifyObject(IChains, Chains([], Clock()))
    verifyObject(IChain, chain())


@pytest_twisted.ensureDeferred
async def test_no_filter_no_objection() -> None:
    """An empty chain lets everything pass."""
    assert await chain().ask(Stage.SENDER, Sender(ALICE)) is CONTINUE


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([Action.CONTINUE, Action.CONTINUE], Action.CONTINUE),
        ([Action.QUARANTINE, Action.HOLD], Action.HOLD),
        ([Action.HOLD, Action.QUARANTINE], Action.HOLD),
        ([Action.QUARANTINE, Action.REJECT], Action.REJECT),
        ([Action.REJECT, Action.ACCEPT], Action.REJECT),
        ([Action.ACCEPT, Action.REJECT], Action.ACCEPT),
        ([Action.DEFER, Action.REJECT], Action.DEFER),
    ],
)
@pytest_twisted.ensureDeferred
async def test_severest_holds(actions: list[Action], expected: Action) -> None:
    """The severest verdict holds; a final one ends the stage."""
    verdict = await chain(*map(saying, actions)).ask(Stage.SENDER, Sender(ALICE))
    assert verdict.action is expected


@pytest_twisted.ensureDeferred
async def test_final_verdict_asks_no_further() -> None:
    """Once somebody refused, the others are not bothered."""
    last = Says(saying(Action.CONTINUE))
    await chain(saying(Action.REJECT), last).ask(Stage.SENDER, Sender(ALICE))
    assert last.asked == 0


@pytest_twisted.ensureDeferred
async def test_accept_holds_for_the_transaction_or_the_connection() -> None:
    """Accept at MAIL ends with the transaction, before MAIL with the connection."""
    last = Says(saying(Action.CONTINUE), (Stage.SENDER, Stage.HELLO))
    early = Says(saying(Action.ACCEPT), (Stage.HELLO,))
    one = chain(saying(Action.ACCEPT), last)
    await one.ask(Stage.SENDER, Sender(ALICE))
    await one.ask(Stage.HELLO, "x")
    assert last.asked == 0
    two = chain(early, last)
    await two.ask(Stage.HELLO, "x")
    await two.ask(Stage.SENDER, Sender(ALICE))
    assert last.asked == 0


def _raise() -> Verdict:
    raise RuntimeError("secret path /etc/shadow")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda: "reject",
        lambda: Verdict(changes=tuple(AddHeader("X", str(n)) for n in range(10_000))),
    ],
)
@pytest_twisted.ensureDeferred
async def test_nonsense_defers(wrong: Callable[[], Any]) -> None:
    """A value that is no sensible verdict lets nothing pass."""
    verdict = await chain(wrong).ask(Stage.SENDER, Sender(ALICE))
    assert verdict.action is Action.DEFER
    assert verdict.changes == ()


@pytest_twisted.ensureDeferred
async def test_exception_defers_and_stays_here(logged_errors: LoggedErrors) -> None:
    """An exception is logged once; the peer sees none of its text."""
    verdict = await chain(_raise).ask(Stage.SENDER, Sender(ALICE))
    assert verdict.reply is not None
    assert verdict.reply.code == 451
    assert "secret" not in verdict.reply.text + verdict.reason
    assert len(logged_errors.flush(RuntimeError)) == 1


def test_silence_defers_in_time() -> None:
    """A filter that never answers is given up after its time, and told so."""
    clock, waiting = Clock(), Deferred[Verdict]()
    asked = Deferred.fromCoroutine(
        chain(lambda: waiting, clock=clock).ask(Stage.SENDER, Sender(ALICE))
    )
    got: list[Verdict] = []
    asked.addCallback(got.append)
    clock.advance(4.9)
    assert not got
    clock.advance(0.2)
    assert got[0].action is Action.DEFER
    assert waiting.called


@pytest_twisted.ensureDeferred
async def test_applies_changes_of_the_envelope() -> None:
    """Envelope, tags and scores change in the context; header changes come back."""
    header = AddHeader("X-Checked", "yes")
    changes = (
        Tag("bulk"),
        Score("spam", 2.5),
        Score("spam", 1),
        ChangeSender(None),
        AddRecipient(ALICE),
        AddRecipient(BOB),
        RemoveRecipient(BOB),
        header,
    )
    one = chain(saying(Action.CONTINUE, *changes))
    verdict = await one.ask(Stage.SENDER, Sender(ALICE))
    assert verdict.changes == (header,)
    assert one._context.tags == {"bulk"}
    assert one._context.scores == {"spam": 3.5}
    assert one._context.sender == Sender(None)
    assert [r.address for r in one._context.recipients] == [ALICE]


@pytest_twisted.ensureDeferred
async def test_applies_parameters_of_the_envelope() -> None:
    """What a filter says of reports goes with the address; what it does not say stays."""
    carol = Address("carol", "example.org")
    changes = (
        AddRecipient(carol, frozenset({Notify.NEVER}), "rfc822;b@example.org"),
        ChangeSender(ALICE, Return.HEADERS),
        ChangeSender(BOB, envid="x"),
    )
    one = chain(saying(Action.CONTINUE, *changes))
    one._context.sender = Sender(ALICE, 5, envid="y")
    await one.ask(Stage.SENDER, one._context.sender)
    assert one._context.sender == Sender(BOB, 5, returned=Return.HEADERS, envid="x")
    expected = Recipient(carol, frozenset({Notify.NEVER}), "rfc822;b@example.org")
    assert one._context.recipients[-1] == expected


@pytest_twisted.ensureDeferred
async def test_a_filter_is_told_of_the_changes_before_it() -> None:
    """Who sees a message knows what the filters before it wish changed."""
    seen: list[tuple[Change, ...]] = []

    class Message(Says):
        def open(self) -> IStages:
            @implementer(IStages)
            class Seeing(Stages):
                def message(self, context: Context, mail: Mail) -> Verdict:
                    seen.append(mail.changes)
                    return Verdict(changes=(AddHeader("X", str(len(mail.changes))), Tag("t")))

            return Seeing()

    filters = [Message(lambda: None, (Stage.MESSAGE,)) for _ in range(3)]
    mail = Mail("q1", Envelope(Sender(ALICE), ()), b"\r\n", MemoryBody(b"\r\n"))
    verdict = await chain(*filters).ask(Stage.MESSAGE, mail)
    first, second, third = AddHeader("X", "0"), AddHeader("X", "1"), AddHeader("X", "2")
    assert seen == [(), (first,), (first, second)]
    assert verdict.changes == (first, second, third)


class Reads(Says):
    """A filter that only reads."""

    reads_only = True


def _asked_together(
    *answers: Callable[[], Any] | Says, clock: Clock | None = None
) -> tuple[Chain, list[Verdict]]:
    """Ask filters that only read; the list gets the verdict."""
    filters = [one if isinstance(one, Says) else Reads(one) for one in answers]
    one = chain(*filters, clock=clock)
    got: list[Verdict] = []
    Deferred.fromCoroutine(one.ask(Stage.SENDER, Sender(ALICE))).addCallback(got.append)
    return one, got


def test_readers_are_asked_at_once() -> None:
    """Neighbours that only read wait together; who changes things is asked alone, in his turn."""
    waiting = [Deferred[Verdict]() for _ in range(3)]
    last = Says(saying(Action.CONTINUE, Tag("last")))
    filters = [Reads(lambda one=one: one) for one in waiting]  # type: ignore[misc]
    _, got = _asked_together(*filters, last)
    assert [one.asked for one in filters] == [1, 1, 1]
    for one in reversed(waiting):
        assert last.asked == 0
        one.callback(CONTINUE)
    assert last.asked == 1
    assert got[0].action is Action.CONTINUE


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_order_of_answers_changes_nothing(order: tuple[int, ...]) -> None:
    """Verdicts are taken in the order of the configuration, whoever answers first."""
    waiting = [Deferred[Verdict]() for _ in range(3)]
    headers = [AddHeader("X", str(number)) for number in range(3)]
    one, got = _asked_together(*[lambda one=one: one for one in waiting])
    said = [
        Verdict(Action.QUARANTINE, changes=(headers[0], Tag("a"))),
        Verdict(Action.REJECT, changes=(headers[1], Tag("b"))),
        Verdict(Action.ACCEPT, changes=(headers[2], Tag("c"))),
    ]
    for number in order:
        if not got:
            waiting[number].callback(said[number])
    assert got[0].action is Action.REJECT
    assert got[0].changes == (headers[0], headers[1])
    assert one._context.tags == {"a", "b"}


def test_nobody_waits_for_who_does_not_count() -> None:
    """After a refusal the neighbours still under way are stopped, and are no failures."""
    clock, slow = Clock(), Deferred[Verdict]()
    rule_breaker = Breaker(1, 10)
    rules = [
        Rule(Reads(saying(Action.REJECT)), timeout=5),
        Rule(Reads(lambda: slow), timeout=5, breaker=rule_breaker),
    ]
    one = Chain(Chains(rules, clock), context())
    got: list[Verdict] = []
    Deferred.fromCoroutine(one.ask(Stage.SENDER, Sender(ALICE))).addCallback(got.append)
    assert got[0].action is Action.REJECT
    assert slow.called
    assert not rule_breaker.is_open
    assert not clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_says_who_decided() -> None:
    """The verdict has the name of the filter that it is of."""
    verdict = await chain(saying(Action.QUARANTINE)).ask(Stage.SENDER, Sender(ALICE))
    assert verdict.by == "says"


@pytest_twisted.ensureDeferred
async def test_conditions_pass_filters_over() -> None:
    """A filter that is for other mail is not asked, alone or among neighbours."""
    passed, asked = Reads(saying(Action.REJECT)), Reads(saying(Action.HOLD))
    condition = Condition(sender_domains=frozenset({"elsewhere.example"}))
    rules = [Rule(passed, condition=condition), Rule(asked)]
    one = Chains(rules, Clock()).open_chain(context())
    assert (await one.ask(Stage.SENDER, Sender(ALICE))).action is Action.HOLD
    assert passed.asked == 0


class Watching(Says):
    """A filter that is told of refusals."""

    def open(self) -> IStages:
        """See `IFilter.open`."""
        outer = self

        @implementer(IStages)
        class Told(Stages):
            def deny(self, context: Context, denial: Denial) -> Any:
                outer.asked += 1
                return outer._answer()

        return Told()


def test_refusals_are_told_and_nobody_waits() -> None:
    """Who watches refusals holds nothing up; a slow one is not told of more than some."""
    clock, watch = Clock(), Watching(lambda: Deferred(), (Stage.DENY,))
    one = chain(watch, clock=clock)
    assert one.wants(Stage.DENY)
    assert not one.wants(Stage.SENDER)
    for _ in range(30):
        one.deny(Denial("session", Reply.of(550, "No", "5.0.0")))
    assert watch.asked == 20
    clock.advance(5)
    one.deny(Denial("session", Reply.of(550, "No", "5.0.0")))
    assert watch.asked == 21
    clock.advance(5)


@pytest_twisted.ensureDeferred
async def test_reports() -> None:
    """Readers of the stream see every stage and every refusal, filters or none."""
    reports = Reports()
    chains = Chains([Rule(Says(saying(Action.HOLD)))], Clock(), reports=reports, now=lambda: 5.0)
    one = chains.open_chain(context())
    await one.ask(Stage.CONNECT)  # nobody reads yet
    reader = reports.subscribe()
    await one.ask(Stage.HELLO, "h")
    await one.ask(Stage.SENDER, Sender(ALICE))
    one.deny(Denial("routes", Reply.of(550, "No", "5.1.1"), recipient=Recipient(BOB)))
    found = [(one.event, one.action, one.by) for one in await reader.read()]
    assert found == [
        ("hello", "continue", ""),
        ("sender", "hold", "says"),
        ("deny", "deny", "routes"),
    ]
