"""The routes as one: each is asked in its turn, and what an address stands for is asked again.

Invariants:

- An answer is never empty, and no mailbox and no address of another server is in it twice.
- Every way ends: an address that stands for one that led to it is refused (5.4.6), as is what lies
  deeper than `depth`; an address that stands for itself goes on behind the route that said so.
- A copy for another server that came for one of our addresses says so (`Onward`), and goes under
  a reverse path that is ours where SRS is on; a mailing list's copies go under its owner's.
- The way is the same whether it is walked for a mail or told to the operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zope.interface import implementer

from mailplat.interfaces.routes import (
    Destination,
    Expanded,
    Explained,
    IExplainedRoutes,
    IOpenRoute,
    IRoute,
    Local,
    Onward,
    Refused,
    Remote,
    Step,
)
from mailplat.model.address import Address
from mailplat.model.errors import LimitReached, NoSuchAccount
from mailplat.model.reply import Reply
from mailplat.routes.srs import SenderRewriting

__all__ = ["RouteTable"]

_LOOP = Reply.of(554, "Aliases lead round in circles", "5.4.6")
_DEEP = Reply.of(554, "Aliases lead on and on", "5.4.6")

Key = tuple[str, str]


@dataclass(slots=True)
class _Walk:
    """One question on its way."""

    sender: Address | None
    steps: list[Step] | None
    ends: dict[object, Destination] = field(default_factory=dict)
    seen: set[tuple[Key, int]] = field(default_factory=set)


@implementer(IExplainedRoutes)
class RouteTable:
    """Asks routes in their order.

    Args:
        routes: The first that knows an address decides.
        srs: Gives forwarded mail a reverse path of ours; None leaves it.
        depth: Expansions that may follow each other.
        members: Addresses that one address may stand for, all expansions together.
    """

    def __init__(
        self,
        routes: Sequence[IRoute],
        *,
        srs: SenderRewriting | None = None,
        depth: int = 10,
        members: int = 10_000,
    ) -> None:
        self._routes = tuple(routes)
        self._srs = srs
        self._depth = depth
        self._members = members
        self._open: list[Any] = []

    async def open(self) -> None:
        """Open those routes that hold something.

        Raises:
            ConfigurationFault: One cannot be opened.
        """
        for route in self._routes:
            if IOpenRoute.providedBy(route):
                opening: Any = route
                await opening.open()
                self._open.append(opening)

    async def close(self) -> None:
        """Close them."""
        while self._open:
            await self._open.pop().close()

    def is_local_domain(self, domain: str) -> bool:
        """See `IRoutes.is_local_domain`."""
        return any(route.is_local_domain(domain) for route in self._routes)

    async def route(
        self, address: Address, sender: Address | None = None
    ) -> tuple[Destination, ...]:
        """See `IRoutes.route`."""
        walk = _Walk(sender, None)
        await self._follow(walk, address, 0, (), None)
        return tuple(walk.ends.values())

    async def explain(self, address: Address, sender: Address | None = None) -> Explained:
        """See `IExplainedRoutes.explain`."""
        steps: list[Step] = []
        walk = _Walk(sender, steps)
        await self._follow(walk, address, 0, (), None)
        return Explained(tuple(steps), tuple(walk.ends.values()))

    async def _follow(
        self,
        walk: _Walk,
        address: Address,
        start: int,
        trail: tuple[Key, ...],
        onward: Onward | None,
    ) -> None:
        """Look an address up, and all that it stands for."""
        key = address.key
        if (key, start) in walk.seen:
            return
        walk.seen.add((key, start))
        if len(walk.seen) > self._members:
            raise LimitReached(f"<{address}>: more than {self._members} addresses in one")
        name, because, number = "", "", start
        result: Destination | Expanded | None = None
        for number in range(start, len(self._routes)):
            route = self._routes[number]
            found = await route.find(address, walk.sender)
            if found is not None:
                name, because, result = route.name, found.because, found.result
                break
        if result is None:
            result = self._unknown(address)
        if not isinstance(result, Expanded):
            end, note = self._end(walk, result, address, trail, onward)
            _note(walk, Step(len(trail), address, name, because, end, note))
            walk.ends.setdefault(_identity(end), end)
            return
        _note(walk, Step(len(trail), address, name, because, result))
        if result.owner is not None:
            onward = Onward(address, result.owner, mailing_list=True)
        elif onward is None:
            onward = Onward(address)
        further = (*trail, key)
        for end in result.also:
            made, note = self._end(walk, end, address, further, onward)
            _note(walk, Step(len(further), address, name, because, made, note))
            walk.ends.setdefault(_identity(made), made)
        for member in result.addresses:
            refusal = self._refusal(member, further, itself=key)
            if refusal is not None:
                made = Refused(refusal, member, _kept(onward))
                _note(walk, Step(len(further), member, name, because, made))
                walk.ends.setdefault(_identity(made), made)
                continue
            behind = member.key == key or member in result.final
            await self._follow(walk, member, number + 1 if behind else 0, further, onward)

    def _unknown(self, address: Address) -> Destination:
        """Nobody knows the address: of another domain, it goes there."""
        if self.is_local_domain(address.domain):
            return Refused(Reply.to_error(NoSuchAccount()))
        return Remote(address)

    def _refusal(self, member: Address, trail: tuple[Key, ...], itself: Key) -> Reply | None:
        if member.key != itself and member.key in trail:
            return _LOOP
        return _DEEP if len(trail) > self._depth else None

    def _end(
        self,
        walk: _Walk,
        result: Destination,
        address: Address,
        trail: tuple[Key, ...],
        onward: Onward | None,
    ) -> tuple[Destination, str]:
        """Say at the end of a way how it came there."""
        if not trail:
            return result, ""
        if isinstance(result, Refused):
            return replace(result, address=address, onward=_kept(onward)), ""
        if isinstance(result, Local):
            return replace(result, address=address, onward=_kept(onward)), ""
        assert onward is not None
        note = ""
        if onward.sender is not None:
            note = f"its sender is the list's owner, <{onward.sender}>"
        elif (
            self._srs is not None
            and walk.sender is not None
            and not self.is_local_domain(walk.sender.domain)
        ):
            onward = replace(onward, sender=self._srs.forward(walk.sender))
            note = f"its sender is rewritten to <{onward.sender}>"
        return replace(result, onward=onward), note


def _kept(onward: Onward | None) -> Onward | None:
    """Give how a copy for a mailbox here goes on: just as it came, but from a mailing list."""
    return onward if onward is not None and onward.mailing_list else None


def _identity(one: Destination) -> object:
    """Say what may be among destinations once."""
    if isinstance(one, Local):
        return one.account.name, one.mailbox
    if isinstance(one, Remote):
        return one.address.key, one.agent
    return one.address.key if one.address is not None else None


def _note(walk: _Walk, step: Step) -> None:
    if walk.steps is not None:
        walk.steps.append(step)
