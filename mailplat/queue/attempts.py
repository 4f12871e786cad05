"""One attempt: hooks are asked, the agent tries, and what came of it is written down.

Invariants:

- If an outcome cannot be written down, the attempt is not repeated: writing is, until it works.
- An agent that raises, answers too little or too much, or is not there, has deferred.
- Hooks may put an attempt off or have the mail held; nothing that they do settles it.
- Who is cut off because the server stops has said nothing: the attempt is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.hooks import IQueueHooks
from mailplat.interfaces.spool import IQueueSpool, Lane, Settlement, Spooled
from mailplat.model import outcome as answers
from mailplat.model.envelope import Recipient
from mailplat.model.errors import MailError, NoSuchMail
from mailplat.model.outcome import Outcome
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action, Verdict
from mailplat.queue.hooked import as_told, put_off, tell_settled
from mailplat.queue.results import Results, log_outcome

__all__ = ["Attempts"]

_log = Logger()

_BROKEN = Reply.of(451, "Something went wrong here", "4.3.0")
_NO_AGENT = Reply.of(451, "Nothing here can bring it there now", "4.3.5")


class Attempts:
    """Makes attempts.

    Args:
        spool: Where the mails are.
        agents: The delivery agents by name.
        results: Says what is to be noted.
        clock: For pauses.
        now: The time, seconds since 1970 UTC.
        hooks: Who watches, and may keep attempts back; None for nobody.
        retry: Seconds until something that failed here is done again.
        deferred: Told when something is to be tried again, seconds since 1970.

    Attributes:
        hooks: As above.
        pauses: Attempts that wait to write down what came of them.
    """

    def __init__(
        self,
        spool: IQueueSpool,
        agents: Mapping[str, IDeliveryAgent],
        results: Results,
        clock: IReactorTime,
        now: Callable[[], float],
        hooks: IQueueHooks | None,
        *,
        retry: float,
        deferred: Callable[[int], None],
    ) -> None:
        self._spool = spool
        self._agents = agents
        self._results = results
        self._clock = clock
        self._now = now
        self.hooks = hooks
        self._retry = retry
        self._deferred = deferred
        self._stopping = False
        self._asking: set[Deferred[Any]] = set()
        self.pauses: set[Deferred[None]] = set()

    def stop(self) -> None:
        """The server stops: what waits for its clock ends now."""
        self._stopping = True
        for pause in list(self.pauses):
            pause.cancel()

    def cut_off(self) -> None:
        """End what has not ended by itself."""
        for asking in list(self._asking):
            asking.cancel()

    async def put_off(self, lane: Lane, mail: Spooled) -> Action | None:
        """Ask the hooks, and note what they want in place of an attempt.

        Returns:
            What was done: the mail is held, or deferred; None where it may be tried.
        """
        hooks = self.hooks
        if hooks is None:
            return None
        asking = Deferred.fromCoroutine(_asked(hooks, mail, lane))
        self._asking.add(asking)
        try:
            verdict = await asking
        finally:
            self._asking.discard(asking)
        if self._stopping:
            return Action.DEFER  # the attempt will be made in another run
        if verdict.action <= Action.ACCEPT:
            return None
        outcomes, settlement = put_off(mail, verdict)
        await self.note(lane, mail, outcomes, settlement)
        return Action.DEFER if settlement is None else Action.HOLD

    async def ask(self, lane: Lane, mail: Spooled) -> dict[Recipient, Outcome] | None:
        """Ask the agent; None if the mail is gone, or the server stopped meanwhile."""
        recipients = tuple(one.recipient for one in mail.pending)
        agent = self._agents.get(lane.agent)
        if agent is None:
            _log.error("queue: there is no agent {agent!r} in the configuration", agent=lane.agent)
            return dict.fromkeys(recipients, answers.Deferred(_NO_AGENT))
        try:
            body = await self._spool.open_body(mail.queue_id)
        except NoSuchMail:
            return None
        except Exception:
            _log.failure("queue {queue_id}: its bytes cannot be read", queue_id=mail.queue_id)
            return dict.fromkeys(recipients, answers.Deferred(_BROKEN))
        targets = {one.recipient: one.targets for one in mail.pending if one.targets}
        sender = mail.sender.onward(mail.arrived, int(self._now()))
        attempt = Attempt(mail.queue_id, sender, recipients, body, None, mail.arrived, targets)
        asking = Deferred.fromCoroutine(_delivered(agent, attempt))
        self._asking.add(asking)
        answered: Mapping[Recipient, Outcome] = {}
        try:
            answered = await asking
        except Exception as error:
            if isinstance(error, CancelledError) and self._stopping:
                return None
            _log.failure("queue {queue_id}: the agent failed", queue_id=mail.queue_id)
        finally:
            self._asking.discard(asking)
            body.close()
        broken = answers.Deferred(_BROKEN)
        found = {one: answered.get(one, broken) for one in recipients}
        return {one: it if isinstance(it, Outcome) else broken for one, it in found.items()}

    async def note(
        self,
        lane: Lane,
        mail: Spooled,
        outcomes: Mapping[Recipient, Outcome],
        settlement: Settlement | None = None,
    ) -> Settlement | None:
        """Write down what came of an attempt, again and again until it is written.

        Returns:
            What was written; None if the server stopped before.
        """
        while True:
            try:
                if settlement is None:
                    settlement = await self._results.of_attempt(mail, outcomes)
                await self._spool.settle(mail.queue_id, settlement)
                break
            except MailError as error:
                _log.warn(
                    "queue {queue_id}: cannot note what came of it: {reason}",
                    queue_id=mail.queue_id,
                    reason=error.reason,
                )
            except Exception:
                _log.failure(
                    "queue {queue_id}: cannot note what came of it", queue_id=mail.queue_id
                )
            if not await self._pause():
                return None  # the attempt will be repeated
        for recipient, outcome in settlement.outcomes.items():
            log_outcome(mail, recipient, outcome)
            if isinstance(outcome, answers.Deferred) and not settlement.held:
                self._deferred(settlement.due)
        if self.hooks is not None:
            tell_settled(self.hooks, mail, settlement, lane, int(self._now()))
        return settlement

    async def _pause(self) -> bool:
        """Wait a while; tell whether the server still runs then."""
        if self._stopping:
            return False
        pause = deferLater(self._clock, self._retry, lambda: None)
        self.pauses.add(pause)
        try:
            await pause
        except CancelledError:
            return False
        finally:
            self.pauses.discard(pause)
        return not self._stopping


async def _asked(hooks: IQueueHooks, mail: Spooled, lane: Lane) -> Verdict:
    return await hooks.attempt(as_told(mail, lane))


async def _delivered(agent: IDeliveryAgent, attempt: Attempt) -> Mapping[Recipient, Outcome]:
    return await agent.deliver(attempt)
