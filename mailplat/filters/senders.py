"""Refuses mail from senders that the operator named."""

from __future__ import annotations

from collections.abc import Collection

from zope.interface import implementer

from mailplat.interfaces.filters import Context, IFilter, IStages, Stage, Stages
from mailplat.model.envelope import Sender
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["SenderFilter"]


@implementer(IFilter)
class SenderFilter:
    """Refuses reverse paths by address or by domain, in any case.

    Args:
        name: What log lines call it.
        refused: Addresses (``bad@example.org``) and domains (``example.net``).
    """

    stages = (Stage.SENDER,)

    def __init__(self, name: str, refused: Collection[str]) -> None:
        self.name = name
        self._refused = frozenset(word.lower() for word in refused)

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Senders(self._refused)


@implementer(IStages)
class _Senders(Stages):
    def __init__(self, refused: frozenset[str]) -> None:
        self._refused = refused

    def sender(self, context: Context, sender: Sender) -> Verdict:
        """Refuse at MAIL."""
        if sender.address is None:
            return CONTINUE
        local, domain = sender.address.key
        if domain in self._refused or f"{local}@{domain}" in self._refused:
            return Verdict.reject("Sender refused", status="5.7.1")
        return CONTINUE
