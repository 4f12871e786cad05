"""Reads a configuration file, or tells everything that is wrong with it at once.

Three passes over one text: `tomllib` reads it, `mailplat.config.structure` fits it to the options,
and here the options are held against each other and against the files they name.

Invariant: a configuration that comes out can be served, as far as that can be known before a port
is opened.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from mailplat.config.faults import ConfigurationFaults, Fault
from mailplat.config.listeners import listeners_of
from mailplat.config.locate import Lines
from mailplat.config.locate import Path as Place
from mailplat.config.options import Configuration
from mailplat.config.sections.server import ListenerProtocol, TLSUse
from mailplat.config.structure import Refused, structure, structure_part
from mailplat.config.values import PartText, split_part
from mailplat.model.errors import ConfigurationFault

__all__ = ["PartCheck", "load", "parse", "resolve_paths"]

MAX_FILE = 4 * 1024 * 1024
"""Bytes of a configuration file: beyond that it is some other file."""


PartCheck = Callable[[str, str], type | None]
"""Looks at a part: its kind (``store``, ``accounts``, ``filter``) and its prefix.

It gives the attrs class of the part's own options, None if it has none.  Raises
ConfigurationFault where there is no such part; which there are, the plugins know.
"""


def load(
    file: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    check_part: PartCheck | None = None,
) -> Configuration:
    """Read a configuration file; relative paths in it begin in its own folder.

    Args:
        file: The file.
        environment: Where secrets may be.
        check_part: Looks at each part that the file names.

    Raises:
        ConfigurationFaults: It cannot be used; with every fault and its line.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE + 1)
    except OSError as error:
        why = f"the file cannot be read: {error.strerror}"
        raise ConfigurationFaults([Fault(str(file), 1, "", why)]) from None
    if len(data) > MAX_FILE:
        raise ConfigurationFaults([Fault(str(file), 1, "", "the file is larger than 4 MiB")])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationFaults(
            [Fault(str(file), line, "", "found bytes that are not UTF-8 text")]
        ) from None
    return parse(
        text,
        str(file),
        file.absolute().parent,
        environment,
        check_files=True,
        check_part=check_part,
    )


def parse(
    text: str,
    name: str,
    directory: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    check_files: bool = False,
    check_part: PartCheck | None = None,
) -> Configuration:
    """Read the text of a configuration.

    Args:
        text: TOML.
        name: The file's name, for messages.
        directory: Where relative paths begin.
        environment: Where secrets may be.
        check_files: Whether the files that it names must be there.
        check_part: Looks at each part that it names.

    Raises:
        ConfigurationFaults: It cannot be used; with every fault and its line.
    """
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationFaults([_syntax_fault(text, name, error)]) from None
    lines = Lines(text)

    def fault(place: Place, problem: str) -> Fault:
        return Fault(name, lines.line_of(place), _spell(place), problem)

    try:
        configuration = structure(document, directory, environment)
    except Refused as refused:
        raise ConfigurationFaults(fault(*problem) for problem in refused.problems) from None
    configuration = resolve_paths(configuration, directory)
    problems = [*_contradictions(configuration)]
    if check_part is not None:
        problems.extend(_strange_parts(configuration, check_part))
        configuration, of_parts = _part_options(configuration, check_part, directory, environment)
        problems.extend(of_parts)
    if check_files:
        problems.extend(_missing_files(configuration))
    if problems:
        raise ConfigurationFaults(fault(*problem) for problem in problems)
    return configuration


def resolve_paths(configuration: Configuration, directory: Path) -> Configuration:
    """Begin every relative path of a configuration in a folder."""
    resolved: Configuration = _resolve(configuration, directory)
    return resolved


def _resolve(value: Any, directory: Path) -> Any:
    if isinstance(value, Path):
        return directory / value
    if isinstance(value, tuple):
        return tuple(_resolve(element, directory) for element in value)
    if not attrs.has(type(value)):
        return value
    changes = {
        field.name: _resolve(getattr(value, field.name), directory)
        for field in attrs.fields(type(value))
    }
    return attrs.evolve(value, **changes)


def _syntax_fault(text: str, name: str, error: Exception) -> Fault:
    if isinstance(error, RecursionError):
        return Fault(name, 1, "", "arrays or tables are nested too deeply")
    words = str(error)
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", words)
    line = text.rstrip("\n").count("\n") + 1
    if found:
        words = words[: found.start()]
        line = int(found[1]) if found[1] else line
    return Fault(name, line, "", f"this is not TOML: {words[:1].lower()}{words[1:]}")


def _spell(place: Place) -> str:
    """Spell a place: ``listener[2].endpoint``, counted from 1 as people do."""
    words = ""
    for step in place:
        words += f"[{step + 1}]" if isinstance(step, int) else f".{step}"
    return words.removeprefix(".")


def _contradictions(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """Hold the options against each other."""
    for at, table in enumerate(configuration.listeners):
        place = ("listener", at)
        if table.protocol is ListenerProtocol.LMTP and not table.endpoint:
            yield (
                (*place, "protocol"),
                'lmtp has no standard port; expected an "endpoint" such as "unix:/run/lmtp.sock"',
            )
            return
        if table.tls is TLSUse.IMPLICIT and table.protocol is ListenerProtocol.LMTP:
            yield (*place, "tls"), 'found "implicit", expected "none" or "starttls" for lmtp'
    endpoints = [
        [one.endpoint for one in listeners_of(attrs.evolve(configuration, listeners=(table,)))]
        for table in configuration.listeners
    ]
    uses = Counter(endpoint for of_table in endpoints for endpoint in of_table)
    for at, of_table in enumerate(endpoints):
        for endpoint in of_table:
            if uses[endpoint] > 1:
                yield ("listener", at, "endpoint"), f'"{endpoint}" is listened on twice'
    names = {listener.name for listener in listeners_of(configuration)}
    for at, rule in enumerate(configuration.filters):
        for number, name in enumerate(rule.listeners):
            if name not in names:
                known = ", ".join(sorted(names))
                yield (
                    ("filter", at, "listeners", number),
                    f'there is no listener "{name}"; expected one of {known}',
                )
    taken = Counter(one.name for one in configuration.agents)
    taken["mailbox"] += 1  # the one for mailboxes here
    for at, agent in enumerate(configuration.agents):
        if taken[agent.name] > 1:
            yield ("agent", at, "name"), f'there are two agents called "{agent.name}"'
        if agent.name in ("alias", "list") or agent.name.startswith(("relay:", "|")):
            yield ("agent", at, "name"), f'"{agent.name}" is the name of an agent of mailplat'
    hosts = Counter(one.name for one in configuration.relay_hosts)
    for at, host in enumerate(configuration.relay_hosts):
        if hosts[host.name] > 1:
            yield ("relay_host", at, "name"), f'there are two relay hosts called "{host.name}"'
        if bool(host.user) != (host.password is not None):
            yield ("relay_host", at), "user and password belong together: say both, or neither"
    for at, backup in enumerate(configuration.backups):
        if backup.domain in configuration.server.domains:
            yield ("backup_mx", at, "domain"), f'"{backup.domain}" is one of server.domains'
    if configuration.queue.warn_after >= configuration.queue.lifetime:
        yield ("queue", "warn_after"), "expected less than queue.lifetime"
    for at, catch_all in enumerate(configuration.routes.catch_all):
        if catch_all.domain not in configuration.server.domains:
            yield (
                ("routes", "catch_all", at, "domain"),
                f'found "{catch_all.domain}", expected one of server.domains',
            )


def _strange_parts(configuration: Configuration, check: PartCheck) -> Iterator[tuple[Place, str]]:
    """Ask whether there are such parts."""
    for place, kind, part in [
        (("store", "use"), "store", configuration.store.use),
        (("bodies", "use"), "place for bodies", configuration.bodies.use),
        (("accounts", "use"), "accounts", configuration.accounts.use),
        *(
            (("filter", at, "use"), "filter", one.use)
            for at, one in enumerate(configuration.filters)
        ),
        *((("agent", at, "use"), "agent", one.use) for at, one in enumerate(configuration.agents)),
        *(
            (("route", at, "use"), "route", one.use)
            for at, one in enumerate(configuration.route_tables)
        ),
        *(
            (("imap", "extensions", at), "imap extension", part)
            for at, part in enumerate(configuration.imap.extensions)
        ),
    ]:
        try:
            check(kind, split_part(PartText(part))[0])
        except ConfigurationFault as fault:
            yield place, fault.reason


def _part_options(
    configuration: Configuration,
    check: PartCheck,
    directory: Path,
    environment: Mapping[str, str],
) -> tuple[Configuration, list[tuple[Place, str]]]:
    """Read the own options of parts as their plugins define them."""
    problems: list[tuple[Place, str]] = []

    def read(name: str, kind: str, rows: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one(row, (name, at, "options"), kind) for at, row in enumerate(rows))

    def one(row: Any, place: Place, kind: str) -> Any:
        prefix = split_part(row.use)[0]
        try:
            table = check(kind, prefix)
        except ConfigurationFault:
            return row  # that there is no such part was told already
        if table is None:
            if row.options:
                problems.append((place, f"{prefix} has no options of its own"))
            return row
        try:
            options = structure_part(row.options, table, directory, environment)
        except Refused as refused:
            problems.extend(((*place, *where), what) for where, what in refused.problems)
            return row
        return attrs.evolve(row, options=_resolve(options, directory))

    configuration = attrs.evolve(
        configuration,
        store=one(configuration.store, ("store", "options"), "store"),
        filters=read("filter", "filter", configuration.filters),
        agents=read("agent", "agent", configuration.agents),
        route_tables=read("route", "route", configuration.route_tables),
    )
    return configuration, problems


def _missing_files(configuration: Configuration) -> Iterator[tuple[Place, str]]:
    """Look for the certificates and keys, if any port has TLS."""
    if all(listener.tls is TLSUse.NONE for listener in listeners_of(configuration)):
        return
    for place, pair in [
        (("tls",), configuration.tls),
        *((("tls", "host", at), host) for at, host in enumerate(configuration.tls.hosts)),
    ]:
        for name in ("certificate", "key"):
            file: Path = getattr(pair, name)
            try:
                file.open("rb").close()
            except OSError as error:
                yield (
                    (*place, name),
                    f"{file} cannot be read ({error.strerror}); "
                    'expected a file in PEM, or tls = "none" on every listener',
                )
