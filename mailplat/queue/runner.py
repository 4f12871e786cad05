"""Drives the queue: takes what is due out of the spool, lets agents try, notes what came of it.

Invariants:

- A mail is tried in a lane by one attempt at a time; what came of it is in the spool before the
  next one.  Meanwhile other mails may be tried: how many are tried, or are
  being written down, is bounded.
- In memory is what is under way and a bounded number of mails that come next, however many wait.
- Nothing polls: the runner looks when mail was accepted, when an attempt ended, when the operator
  changed something, and exactly when the spool says that something will be due.
- Lanes are looked for only when there may be one that is not in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.interfaces.agents import IDeliveryAgent
from mailplat.interfaces.hooks import IQueueHooks
from mailplat.interfaces.spool import IQueueSpool, Lane, Pending, Spooled
from mailplat.model import outcome as answers
from mailplat.model.envelope import Recipient
from mailplat.model.errors import MailError
from mailplat.model.outcome import Outcome
from mailplat.model.verdict import Action
from mailplat.queue.attempts import Attempts
from mailplat.queue.deadlines import Deadlines
from mailplat.queue.destinations import ActiveLane, Window, unreachable
from mailplat.queue.results import Results
from mailplat.queue.schedule import Schedule
from mailplat.queue.together import all_of

__all__ = ["QueueLimits", "Runner"]

_log = Logger()

_READ_AGAIN = 10
"""Seconds after which a lane with attempts under way is read again."""

_TOGETHER = 20
"""Lanes that are read side by side."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What the runner may do at once.

    Attributes:
        attempts: Under way, all lanes together (Postfix default_process_limit: 100).
        per_destination: Under way in one lane (Postfix default_destination_concurrency_limit: 20).
        first: Under way in a lane that nothing is known of (Postfix initial_..._concurrency: 5).
        recipients: Of one attempt (Postfix default_destination_recipient_limit: 50).
        lanes: With mail in memory.
        waiting: Recipients of one lane that are in memory beside those under way.
        retry: Seconds until something that failed here is done again.
        grace: Seconds that attempts may take to end when the server stops.
    """

    attempts: int = 100
    per_destination: int = 20
    first: int = 5
    recipients: int = 50
    lanes: int = 500
    waiting: int = 100
    retry: float = 10.0
    grace: float = 30.0


class Runner:
    """Works on a spool.

    Args:
        spool: Open while the runner is.
        agents: The delivery agents by name.
        results: Says what is to be noted of attempts and deadlines.
        schedule: When to try.
        clock: For exact wake-ups.
        now: The time, seconds since 1970 UTC, in step with the clock.
        random: Gives numbers from 0 to 1.
        limits: What may be done at once.
        hooks: Who watches, and may keep attempts back; None for nobody.
    """

    def __init__(
        self,
        spool: IQueueSpool,
        agents: Mapping[str, IDeliveryAgent],
        results: Results,
        schedule: Schedule,
        clock: IReactorTime,
        now: Callable[[], float],
        random: Callable[[], float],
        limits: QueueLimits | None = None,
        hooks: IQueueHooks | None = None,
    ) -> None:
        self._spool = spool
        self._schedule = schedule
        self._clock = clock
        self._now = now
        self._random = random
        self._limits = limits or QueueLimits()
        self._making = Attempts(
            spool,
            agents,
            results,
            clock,
            now,
            hooks,
            retry=self._limits.retry,
            deferred=self._by,
        )
        self._deadlines = Deadlines(
            spool, results, schedule, self._is_tried, self._forget, self._by
        )
        self._open = False
        self._lanes: dict[Lane, ActiveLane] = {}
        self._turns: deque[ActiveLane] = deque()
        self._attempts: set[Deferred[None]] = set()
        self._starting = False
        self._looking: Deferred[None] | None = None
        self._look_again = False
        self._look_at_times = False
        self._look_for_lanes = False
        self._generation = 0
        self._blocked: set[Lane] = set()
        self._more_lanes = False
        self._timer: IDelayedCall | None = None

    @property
    def hooks(self) -> IQueueHooks | None:
        """Who watches; others may take their place."""
        return self._making.hooks

    @hooks.setter
    def hooks(self, hooks: IQueueHooks | None) -> None:
        self._making.hooks = hooks

    # life

    async def open(self) -> None:
        """Begin; what a former run left is found in the spool."""
        self._open = True
        self._spool.watch(self.new_mail)
        self.changed()

    async def close(self) -> None:
        """Start nothing more; wait for what is under way, but not for long."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        cut = self._clock.callLater(self._limits.grace, self._making.cut_off)
        self._making.stop()
        if self._looking is not None:
            await self._looking
        await DeferredList(list(self._attempts))
        if cut.active():
            cut.cancel()

    @property
    def busy(self) -> bool:
        """Whether anything goes on that does not wait for the clock."""
        return self._looking is not None or len(self._attempts) > len(self._making.pauses)

    # what wakes it

    def new_mail(self, lanes: Collection[Lane], special: bool) -> None:
        """These lanes got mail; if it is special, they and their times are read anew."""
        for lane in lanes:
            active = self._lanes.get(lane)
            if active is None:
                self._look_for_lanes = True
                continue
            active.stale = True
            if special:  # it may go before what waits (RFC 6710 §5.1)
                active.waiting.clear()
        if special:
            self._generation += 1
            self._look_at_times = True
        self._by(int(self._now() + self._schedule.warn_after))
        self._look()

    def changed(self) -> None:
        """Anything may have changed in the spool: forget what was read, and look again."""
        for active in self._lanes.values():
            active.waiting.clear()
            active.stale = True
        self._generation += 1
        self._look_at_times = True
        self._look()

    def _by(self, time: int) -> None:
        """Look at this time, seconds since 1970, or before."""
        if not self._open:
            return
        delay = max(0.0, time - self._now())
        if self._timer is not None:
            if self._timer.getTime() <= self._clock.seconds() + delay:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(delay, self._time_came)

    def _time_came(self) -> None:
        self._timer = None
        self._look_at_times = True
        self._look()

    # looking

    def _look(self) -> None:
        self._look_again = True
        if self._looking is None and self._open:
            looking = Deferred.fromCoroutine(self._look_while_asked())
            self._looking = None if looking.called else looking

    async def _look_while_asked(self) -> None:
        try:
            while self._look_again and self._open:
                self._look_again = False
                try:
                    await self._look_once()
                except Exception as error:
                    if isinstance(error, MailError):
                        _log.warn("queue: cannot look: {reason}", reason=error.reason)
                    else:
                        _log.failure("queue: cannot look")
                    self._look_at_times = True
                    self._by(int(self._now() + self._limits.retry) + 1)
        finally:
            self._looking = None

    async def _look_once(self) -> None:
        now = int(self._now())
        at_times, self._look_at_times = self._look_at_times, False
        if at_times:
            self._read_again(now)
            if await self._deadlines.look(now, self.hooks):
                self._look_at_times = self._look_again = True
        if at_times or self._look_for_lanes:
            self._look_for_lanes = False
            await self._find_lanes(now)
        stale = [one for one in self._lanes.values() if one.stale]
        for start in range(0, len(stale), _TOGETHER):
            await all_of(self._refill(one, now) for one in stale[start : start + _TOGETHER])
            self._start()
        self._start()
        for active in [one for one in self._lanes.values() if one.idle]:
            self._leave(active)
        if at_times and not self._look_again:
            coming = await self._spool.next_time(now)
            if coming is not None:
                self._by(coming)

    def _read_again(self, now: int) -> None:
        """What was deferred may be due: read lanes again that have nothing else to try.

        Not each of them each second: where an attempt is under way, the next may wait a little.
        """
        for active in self._lanes.values():
            if active.waiting:
                continue
            if now - active.read_at >= _READ_AGAIN:
                active.stale = True
            else:
                self._by(active.read_at + _READ_AGAIN)

    async def _find_lanes(self, now: int) -> None:
        room = self._limits.lanes - len(self._lanes)
        if room <= 0:
            self._more_lanes = True
            return
        self._blocked.clear()
        found = await self._spool.ready(now, len(self._lanes) + room)
        self._more_lanes = len(found) >= len(self._lanes) + room
        for state in found:
            if state.lane in self._lanes or state.lane in self._blocked:
                continue
            if len(self._lanes) < self._limits.lanes:
                window = Window(self._limits.first, self._limits.per_destination, state.failures)
                self._lanes[state.lane] = ActiveLane(state.lane, window)

    async def _refill(self, active: ActiveLane, now: int) -> None:
        """Read what comes next in a lane."""
        room = self._limits.waiting - len(active.waiting)
        active.stale = False
        if active.window.dead:
            return
        if room <= self._limits.waiting // 2:
            active.stale = True  # enough for now; when some of it is done, there is room
            return
        generation = self._generation
        active.reading, active.read_at = True, now
        try:
            found = await self._spool.due(active.lane, now, room, active.held)
        except BaseException:
            active.stale = True
            raise
        finally:
            active.reading = False
        if generation != self._generation:
            active.stale = True  # what was read may be out of date
        elif not active.window.dead:
            if sum(len(mail.pending) for mail in found) >= room:
                active.stale = True
                active.partial.add(found[-1].queue_id)
            active.waiting.extend(found)
        self._line_up(active)

    def _leave(self, active: ActiveLane) -> None:
        self._lanes.pop(active.lane, None)
        active.waiting.clear()
        if self._more_lanes or self._now() >= active.read_at + 1:
            self._look_for_lanes = True  # something in it may have become due since
            self._look()

    # trying

    def _line_up(self, active: ActiveLane) -> None:
        if active.startable and not active.in_turn:
            active.in_turn = True
            urgent = active.waiting[0].sender.priority > 0
            (self._turns.appendleft if urgent else self._turns.append)(active)

    def _start(self) -> None:
        """Start attempts, a lane after the other, as far as the limits allow."""
        if self._starting:
            return
        self._starting = True
        while self._open and self._turns and len(self._attempts) < self._limits.attempts:
            active = self._turns.popleft()
            active.in_turn = False
            if not active.startable:
                continue
            mail = active.waiting.popleft()
            active.running.add(mail.queue_id)
            attempt = Deferred.fromCoroutine(self._try(active, mail))
            self._attempts.add(attempt)
            attempt.addErrback(_log_failure, mail.queue_id)
            attempt.addCallback(self._ended, attempt, active, mail.queue_id)
            self._line_up(active)
        self._starting = False

    def _ended(self, _: object, attempt: Deferred[None], active: ActiveLane, queue_id: str) -> None:
        self._attempts.discard(attempt)
        active.ended(queue_id)
        if queue_id in active.partial:
            active.partial.discard(queue_id)
            active.stale = True
        self._line_up(active)
        self._start()
        if active.idle:
            self._leave(active)
        elif active.stale and len(active.waiting) < self._limits.waiting // 2:
            self._look()

    async def _try(self, active: ActiveLane, mail: Spooled) -> None:
        """Let the agent try once, learn from it, and note what came of it."""
        if len(mail.pending) > self._limits.recipients:
            mail = replace(mail, pending=mail.pending[: self._limits.recipients])
            active.partial.add(mail.queue_id)
        done = await self._making.put_off(active.lane, mail)
        if done is not None:
            if done is Action.HOLD:
                for one in self._lanes.values():
                    one.forget([mail.queue_id])
                    one.stale = True
            return
        outcomes = await self._making.ask(active.lane, mail)
        if outcomes is None:
            return
        if self._open:  # who was cut off says nothing about the destination
            await self._learn(active, outcomes)
        active.tried(mail.queue_id)
        self._line_up(active)
        self._start()
        settled = await self._making.note(active.lane, mail, outcomes)
        for new in () if settled is None else settled.added:
            there = self._lanes.get(Lane.of(new.agent, new.recipient.address))
            if there is not None and mail.queue_id in there.running | there.noting:
                there.partial.add(mail.queue_id)  # it was left out when that lane was read

    async def _learn(self, active: ActiveLane, outcomes: Mapping[Recipient, Outcome]) -> None:
        """Learn from an attempt how the destination does."""
        missed = unreachable(outcomes)
        window = active.window
        if missed is None:
            if window.reached():
                await self._block(active.lane, 0, 0, None)
        elif window.missed():
            active.waiting.clear()
            until = int(self._now()) + self._schedule.wait(window.failures, self._random)
            _log.info(
                "queue: {lane} does not answer ({reply}); next try in {seconds} s",
                lane=str(active),
                reply=missed.reply.text,
                seconds=until - int(self._now()),
            )
            await self._block(active.lane, until, window.failures, missed)

    async def _block(
        self, lane: Lane, until: int, failures: int, last: answers.Deferred | None
    ) -> None:
        try:
            await self._spool.block(lane, until, failures, last)
        except MailError as error:
            _log.warn("queue: cannot note a destination's rest: {reason}", reason=error.reason)
        if until:
            self._blocked.add(lane)  # what is being read now does not know it
            self._by(until)

    # for deadlines

    def _forget(self, mail: Spooled, one: Pending) -> None:
        active = self._lanes.get(Lane.of(one.agent, one.recipient.address))
        if active is not None:
            active.forget([mail.queue_id])
            active.stale = True

    def _is_tried(self, mail: Spooled, one: Pending) -> bool:
        active = self._lanes.get(Lane.of(one.agent, one.recipient.address))
        return active is not None and mail.queue_id in active.running | active.noting


def _log_failure(failure: Failure, queue_id: str) -> None:
    _log.failure("queue {queue_id}: an attempt broke off", failure, queue_id=queue_id)
