"""The spool keeps its contract; a spool that breaks one rule does not pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.interfaces.spool import NewMail, Settlement
from mailplat.spool import changes, queries
from mailplat.spool.spool import Spool
from mailplat.testing.spools import WARN_AFTER, SpoolContract, Times


class TestSpool(SpoolContract):
    """The durable spool."""


def _forgets_to_commit(right: Any) -> Any:
    async def close(self: Spool) -> None:
        await right(self)
        (self._directory / "spool.sqlite").unlink()

    return close


def _tells_too_early(right: Any) -> Any:
    async def accept(self: Spool, mails: Sequence[NewMail]) -> None:
        for mail in mails:
            self._notice((await self._prepare(mail)).lanes, False)
        await right(self, mails)

    return accept


def _loses_reports(right: Any) -> Any:
    async def settle(self: Spool, queue_id: str, one: Settlement) -> None:
        await right(self, queue_id, Settlement(one.outcomes, one.due, one.added, (), one.deadline))

    return settle


def _reports_again(right: Any) -> Any:
    async def settle(self: Spool, queue_id: str, one: Settlement) -> None:
        for report in one.reports:
            await self.accept([report])
        await _loses_reports(right)(self, queue_id, one)

    return settle


def _settles_everybody(right: Any) -> Any:
    async def settle(self: Spool, queue_id: str, one: Settlement) -> None:
        found = await self.find(queue_id)
        outcome = next(iter(one.outcomes.values()), None)
        everybody = {each.recipient: outcome for each in found.pending} if found and outcome else {}
        await right(self, queue_id, Settlement({**everybody, **one.outcomes}, one.due))

    return settle


def _no_order(right: Any) -> Any:
    return lambda *args: list(reversed(right(*args)))


def _nobody_left_out(right: Any) -> Any:
    return lambda db, lane, now, limit, without: right(db, lane, now, limit, ())


def _forgets_lanes(right: Any) -> Any:
    return lambda db, lanes: None


def _nothing(right: Any) -> Any:
    return lambda *args: None


def _one_page(right: Any) -> Any:
    return lambda db, rows: right(db, rows[:500])


BROKEN: dict[str, tuple[Any, str, Callable[[Any], Any], str]] = {
    "loses all at a restart": (Spool, "close", _forgets_to_commit, "test_keeps_everything"),
    "tells of mail too early": (
        Spool,
        "accept",
        _tells_too_early,
        "test_tells_watchers_of_new_mail",
    ),
    "loses reports": (Spool, "settle", _loses_reports, "test_reports_come_with_their_outcome"),
    "reports twice": (Spool, "settle", _reports_again, "test_settling_twice_is_settling_once"),
    "settles everybody": (Spool, "settle", _settles_everybody, "test_settles_each_recipient"),
    "knows no order": (queries, "due", _no_order, "test_due_leaves_out_and_stops"),
    "gives what is under way": (queries, "due", _nobody_left_out, "test_due_leaves_out_and_stops"),
    "never blocks": (changes, "block", _nothing, "test_blocked_lanes_rest"),
    "forgets lanes": (changes, "_refresh", _forgets_lanes, "test_lanes"),
    "removes a part": (changes, "remove", _one_page, "test_remove"),
    "leaves held mail due": (
        changes,
        "_lanes_of",
        lambda right: lambda *_: set(),
        "test_hold_and_release",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest_twisted.ensureDeferred
async def test_bites(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken spool fails the test that is there for it."""
    owner, what, breaking, test = BROKEN[name]
    monkeypatch.setattr(owner, what, breaking(inspect.getattr_static(owner, what)))
    times = Times()

    def make(now: Callable[[], float]) -> Spool:
        return Spool(reactor, tmp_path / "spool", now, inline=50_000, warn_after=WARN_AFTER)

    spool = make(times)
    await spool.open()
    have = {"spool": spool, "times": times, "make_spool": make}
    function = getattr(SpoolContract(), test)
    try:
        with pytest.raises((Exception, pytest.fail.Exception)):
            await function(**{one: have[one] for one in inspect.signature(function).parameters})
    finally:
        monkeypatch.undo()
        await spool.close()
