"""The extensions of a server taken together: one grammar, and for each class what it is done by.

Invariant: no extension takes the place of a built-in command or of another extension's anything.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from mailplat.interfaces.imap_extensions import (
    Answer,
    FetchedItem,
    IIMAPExtension,
    IIMAPSession,
    Match,
)
from mailplat.model.errors import ConfigurationFault
from mailplat.proto.imap.fetch_command import FETCH_ITEMS
from mailplat.proto.imap.grammar import GRAMMAR
from mailplat.proto.imap.search_commands import SEARCH_KEYS

__all__ = ["Extensions"]

K = TypeVar("K")


class Extensions:
    """All extensions of a server.

    Args:
        extensions: In the order in which their capabilities are listed.

    Attributes:
        grammar: All that a client can say.
        answers: What does each class of command.
        fetch_items: What makes each class of FETCH item.
        search_keys: What finds by each class of SEARCH key.
        enables: What ENABLE can turn on by them, in capitals.
        capability_of: The capability, in capitals, that a class needs.

    Raises:
        ConfigurationFault: Two of them want the same, or one wants what is built in.
    """

    def __init__(self, extensions: Iterable[IIMAPExtension] = ()) -> None:
        self.grammar = GRAMMAR
        self.answers: dict[type, Answer] = {}
        self.fetch_items: dict[type, FetchedItem] = {}
        self.search_keys: dict[type, Match] = {}
        self.enables: frozenset[str] = frozenset()
        self.capability_of: dict[type, str] = {}
        self._all: dict[str, IIMAPExtension] = {}
        for extension in extensions:
            self._add(extension)

    def _add(self, extension: IIMAPExtension) -> None:
        name = extension.capability
        if not name or name.upper() in self._all:
            raise ConfigurationFault(f"two extensions of IMAP, or one without a name: {name!r}")
        self._all[name.upper()] = extension
        if extension.grammar is not None:
            self._extend(name, extension.grammar)
        _join(name, self.answers, extension.answers)
        _join(name, self.fetch_items, extension.fetch_items)
        _join(name, self.search_keys, extension.search_keys)
        self.enables |= extension.enables
        for kind in (*extension.answers, *extension.fetch_items, *extension.search_keys):
            self.capability_of[kind] = name.upper()

    def _extend(self, name: str, more: Any) -> None:
        grammar = self.grammar
        for there, added in (
            (grammar.commands, more.commands),
            (FETCH_ITEMS.union(grammar.fetch_items), more.fetch_items),
            (SEARCH_KEYS.union(grammar.search_keys), more.search_keys),
        ):
            _refuse_both(name, there, added)
        self.grammar = grammar.extended(more.commands, more.fetch_items, more.search_keys)

    def capabilities(self, session: IIMAPSession) -> Iterator[str]:
        """List what they offer now to a client from whom they are not switched off."""
        for name, extension in self._all.items():
            if session.offers(name):
                yield from extension.capabilities(session)


def _join(name: str, there: dict[type, K], added: Mapping[type, K]) -> None:
    _refuse_both(name, there, added)
    there.update(added)


def _refuse_both(name: str, there: Container[Any], added: Iterable[Any]) -> None:
    for key in added:
        if key in there:
            what = key.decode("ascii", "replace") if isinstance(key, bytes) else key.__name__
            raise ConfigurationFault(f"the extension {name} of IMAP adds {what}, which is there")
