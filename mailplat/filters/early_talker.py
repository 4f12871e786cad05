"""A pause before the greeting: who speaks before it is asked is no mail server (RFC 5321 §4.3.1).

What sends spam often does not wait for replies.  The pause costs a connection that waits, and
nothing else.
"""

from __future__ import annotations

import attrs
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.filters.clients import (
    ClientOptions,
    PolicyAction,
    judge,
    left_alone,
    trusted_networks,
)
from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.envelope import Sender
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["EarlyTalkerFilter", "EarlyTalkerOptions"]

_LOOKS = 10
"""How often it is looked during the pause whether the client spoke."""


@attrs.frozen(kw_only=True)
class EarlyTalkerOptions(ClientOptions):
    """The filter ``early_talker``."""

    pause: Duration = option(
        duration("3s"),
        least=0,
        meaning="How long the greeting is held back. The filter's own `timeout` must be longer.",
        precedent="Postfix postscreen_greet_wait (6 s), Sendmail greet_pause (5 s)",
    )
    action: PolicyAction = option(
        PolicyAction.REJECT,
        meaning="What becomes of a client that speaks before it is greeted; with tag, quarantine, "
        "hold and discard it is the mail that it sends.",
        precedent="Postfix postscreen_greet_action",
    )


@implementer(IFilter)
class EarlyTalkerFilter:
    """Waits, and listens.

    Args:
        name: What log lines call it.
        argument: Nothing.
        options: How long.
        settings: The clock.
    """

    stages = (Stage.CONNECT, Stage.SENDER)
    reads_only = True

    def __init__(
        self, name: str, argument: str, options: EarlyTalkerOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        self._options = options
        self._reactor = settings.reactor
        self._trusted = trusted_networks(options)

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Listening(self)

    async def spoke(self, context: Context) -> bool:
        """Wait; tell whether the client spoke, as soon as it did."""
        early = context.spoke_early
        if early is None or left_alone(context, self._trusted):
            return False
        for _ in range(_LOOKS):
            if early():
                return True
            if not self._options.pause:
                return False
            await deferLater(self._reactor, self._options.pause / _LOOKS)
        return early()

    def verdict(self, *, greeted: bool) -> Verdict:
        """Say what becomes of a client that spoke, or of its mail."""
        action = self._options.action
        refuses = action in (PolicyAction.DEFER, PolicyAction.REJECT)
        if refuses == greeted:  # refused at once; all else concerns mail
            return CONTINUE
        return judge(
            action,
            "You spoke before you were greeted",
            "the client spoke before it was greeted",
            tag="early-talker",
            code=554,
            status="5.1",
        )


@implementer(IStages)
class _Listening(Stages):
    def __init__(self, talkers: EarlyTalkerFilter) -> None:
        self._talkers = talkers
        self._spoke = False

    async def connect(self, context: Context) -> Verdict:
        """Hold the greeting back."""
        self._spoke = await self._talkers.spoke(context)
        return self._talkers.verdict(greeted=False) if self._spoke else CONTINUE

    def sender(self, context: Context, sender: Sender) -> Verdict:
        """Note of each mail that its client spoke early."""
        return self._talkers.verdict(greeted=True) if self._spoke else CONTINUE
