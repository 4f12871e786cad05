"""Reads the configuration again on SIGHUP, and puts what can change into force.

New connections get the new filters, certificates and options; routes and the hooks of the queue
change for everybody at once.  Connections that there are end as they began.

Invariants:

- All or nothing: a configuration with a fault, or with a part that cannot be made or opened,
  changes nothing; its faults are in the log.
- What needs a restart keeps its old value, and the log says so.
- What was replaced is closed when the last connection that uses it has ended.
- Values are never logged: some are secrets.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from mailplat.app.assembly import Parts, renew
from mailplat.app.filtering import CurrentFiltering
from mailplat.app.listening import ports_of
from mailplat.app.parts import check_part
from mailplat.app.renewal import remember, renewed_plugins
from mailplat.app.service import Port
from mailplat.config.load import load
from mailplat.config.option import options_of, table_class
from mailplat.config.options import Configuration
from mailplat.model.errors import ConfigurationFault

__all__ = ["AT_ONCE", "Reloading", "differences", "effective"]

_log = Logger()

AT_ONCE: Mapping[str, frozenset[str] | None] = {
    "server": frozenset({"domains"}),
    "tls": None,
    "limits": frozenset(
        {
            "handshake_timeout",
            "stall_timeout",
            "close_timeout",
            "proxy_header_timeout",
            "proxy_header_size",
        }
    ),
    "auth": frozenset({"require_tls", "mechanisms", "failures_by_connection"}),
    "message": frozenset({"max_size", "mime_depth", "mime_parts", "mime_parameters"}),
    "smtp": None,
    "pop3": None,
    "imap": None,
    "routes": None,
    "route_tables": None,
    "backups": None,
    "srs": None,
    "filters": None,
}
"""What changes while the server runs: attributes of tables, and None for all of a table."""


def differences(old: Configuration, new: Configuration) -> tuple[list[str], list[str]]:
    """Name the options that differ.

    Returns:
        Those that change at once, and those that need a restart: ``smtp.max_recipients``; of
        arrays of tables only the table is named.
    """
    at_once: list[str] = []
    later: list[str] = []
    for table, attribute, name in _names():
        before, after = getattr(old, table), getattr(new, table)
        if attribute:
            before, after = getattr(before, attribute), getattr(after, attribute)
        if before != after:
            (at_once if _changes(table, attribute) else later).append(name)
    return at_once, later


def effective(old: Configuration, new: Configuration) -> Configuration:
    """Give the new configuration with the old values of what needs a restart."""
    values: dict[str, Any] = {}
    for option in options_of(Configuration):
        allowed = AT_ONCE.get(option.attribute, frozenset())
        before, after = getattr(old, option.attribute), getattr(new, option.attribute)
        if allowed is None:
            values[option.attribute] = after
        else:
            chosen = {name: getattr(after, name) for name in allowed}
            values[option.attribute] = attrs.evolve(before, **chosen) if chosen else before
    return Configuration(**values)


def _names() -> Iterator[tuple[str, str, str]]:
    """List tables and their options: attributes, and how the file calls them."""
    for option in options_of(Configuration):
        table = table_class(option.type)
        if table is None:
            yield option.attribute, "", option.name
        else:
            for inner in options_of(table):
                yield option.attribute, inner.attribute, f"{option.name}.{inner.name}"


def _changes(table: str, attribute: str) -> bool:
    allowed = AT_ONCE.get(table, frozenset())
    return allowed is None or attribute in allowed


class Reloading:
    """Waits for SIGHUP.

    Args:
        path: The configuration file.
        parts: What the server was made of.
        filters: Those in force.
        exchange: Lets ports make new connections in another way; gives the ports before.
        read: Reads the file.
    """

    def __init__(
        self,
        path: Path,
        parts: Parts,
        filters: CurrentFiltering,
        exchange: Callable[[Sequence[Port]], Sequence[Port]],
        read: Callable[[Path], Configuration] = lambda path: load(path, check_part=check_part),
    ) -> None:
        self._path = path
        self._parts = parts
        self._filters = filters
        self._exchange = exchange
        self._read = read
        self._asked = False
        self._running: Deferred[None] | None = None
        self._closing: set[Deferred[None]] = set()
        self._former: Any = None

    async def open(self) -> None:
        """Listen to the signal."""
        remember(rule.filter for rule, _ in self._parts.rules)
        if threading.current_thread() is threading.main_thread():
            self._former = signal.signal(signal.SIGHUP, self._signalled)

    async def close(self) -> None:
        """Listen no more, and let go of what was replaced and is in use until now."""
        if self._former is not None:
            signal.signal(signal.SIGHUP, self._former)
            self._former = None
        if self._running is not None:
            await self._running
        await gatherResults(list(self._closing))

    def _signalled(self, *_: object) -> None:
        self._parts.reactor.callFromThread(self.ask)

    def ask(self) -> None:
        """Read the file again, once what is under way has ended."""
        self._asked = True
        if self._running is None:
            running = Deferred.fromCoroutine(self._reload_while_asked())
            self._running = None if running.called else running

    async def _reload_while_asked(self) -> None:
        try:
            while self._asked:
                self._asked = False
                try:
                    await self.reload()
                except Exception:
                    _log.failure("reload: failed; the old configuration stays in force")
        finally:
            self._running = None

    async def reload(self) -> bool:
        """Read the file, and put what changed into force.

        Returns:
            Whether the file could be used.
        """
        old = self._parts
        try:
            with renewed_plugins(rule.filter for rule, _ in old.rules):
                read = self._read(self._path)
                at_once, later = differences(old.configuration, read)
                new, routes = renew(old, effective(old.configuration, read))
                try:
                    ports = ports_of(new)
                    await routes.open()
                except BaseException:
                    await new.filtering.close()
                    await routes.close()
                    raise
        except ConfigurationFault as fault:
            _log.error(
                "reload: refused; the old configuration stays in force: {reason}",
                reason=fault.reason,
            )
            return False
        replaced = self._exchange(ports)
        self._parts, self._filters.filtering = new, new.filtering
        remember(rule.filter for rule, _ in new.rules)
        new.runner.hooks = new.hooks
        self._close_later(old.routes.exchange(routes))
        self._close_later(_close_filters(old, replaced))
        _log.info(
            "reload: in force: {changed}; filters, certificates and plugins were read again",
            changed=", ".join(at_once) or "no other option",
        )
        if later:
            _log.warn("reload: needs a restart: {options}", options=", ".join(later))
        return True

    def _close_later(self, closing: Any) -> None:
        deferred: Deferred[None] = Deferred.fromCoroutine(closing)
        self._closing.add(deferred)

        def closed(result: object) -> None:
            self._closing.discard(deferred)
            if result is not None:
                _log.error("reload: what was replaced cannot be closed: {why}", why=result)

        deferred.addBoth(closed)


async def _close_filters(old: Parts, replaced: Sequence[Port]) -> None:
    """Close the filters of an old configuration, once no connection of it is left."""
    for port in replaced:
        await port.factory.emptied()
    await old.filtering.close()
