r"""The format of /etc/aliases: ``name: member, member`` (aliases(5)), as values; pure.

A line that begins with white space continues the one before; ``#`` begins a comment line.  A member
is an address, a local name, ``\name`` (looked up here no further), ``"|command"`` or
``:include:/file``; names are compared without regard to case.  Whatever cannot be read is told with
its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailplat.model.errors import ConfigurationFault

__all__ = ["Alias", "Include", "Member", "entries", "parse_aliases", "parse_members"]

_WORD = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",])+(,|$)', re.DOTALL)
_NAME = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^\s":#][^":]*?))\s*:(.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """One of those that an alias stands for.

    Attributes:
        text: An address or a name; for a command, what follows the bar.
        final: Whether it is not looked up among the aliases again.
        command: Whether it is a command.
        where: ``FILE:LINE``.
    """

    text: str
    final: bool = False
    command: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """One name and what it stands for.

    Attributes:
        name: In lower case.
        members: At least one.
        where: ``FILE:LINE``.
    """

    name: str
    members: tuple[Member, ...]
    where: str


Include = Callable[[str, str], tuple[Member, ...]]
"""Reads the members of a file that is included: its path, and where that is asked for."""


def parse_aliases(text: str, file: str, include: Include) -> dict[str, Alias]:
    """Read a file of aliases.

    Args:
        text: All of it.
        file: Its name, for messages.
        include: Reads files that it includes.

    Raises:
        ConfigurationFault: A line cannot be read, or a name is there twice.
    """
    found: dict[str, Alias] = {}
    for line, entry in entries(text):
        where = f"{file}:{line}"
        match = _NAME.fullmatch(entry)
        if match is None:
            raise ConfigurationFault(f'{where}: expected "name: address, address"')
        name = (match[2] if match[1] is None else _unquoted(match[1])).lower()
        if name in found:
            raise ConfigurationFault(f"{where}: {name} is in {found[name].where} already")
        members = parse_members(match[3], where, include)
        if not members:
            raise ConfigurationFault(f"{where}: {name} stands for nobody")
        found[name] = Alias(name, members, where)
    return found


def parse_members(text: str, where: str, include: Include | None) -> tuple[Member, ...]:
    """Read members between commas.

    Args:
        text: What stands behind the colon, or on a line of an included file.
        where: For messages.
        include: Reads files that are included; None where none may be, nor commands.

    Raises:
        ConfigurationFault: One cannot be read.
    """
    members: dict[Member, None] = {}
    for word in _words(text, where):
        if word.lower().startswith(":include:") and include is not None:
            members.update(dict.fromkeys(include(word[len(":include:") :].strip(), where)))
        elif word.startswith("|") and include is not None:
            members[Member(word[1:].strip(), command=True, where=where)] = None
        elif word.startswith(("/", "|", ":")):
            raise ConfigurationFault(f"{where}: {word}: expected an address")
        elif word.startswith("\\"):
            members[Member(word[1:], final=True, where=where)] = None
        else:
            members[Member(word, where=where)] = None
    return tuple(members)


def entries(text: str) -> Iterator[tuple[int, str]]:
    """Give the logical lines of a text, each with the number of its first line."""
    first, entry = 0, ""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and entry:
            entry += "\n" + line
            continue
        if entry:
            yield first, entry
        first, entry = number, line
    if entry:
        yield first, entry


def _words(text: str, where: str) -> Iterator[str]:
    at, text = 0, text.strip().rstrip(",")
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None or found.end() == at:
            raise ConfigurationFault(f"{where}: the quotes of {text[at:].strip()!r} do not match")
        word = found[0].removesuffix(",").strip()
        at = found.end()
        if word.startswith('"') and word.endswith('"') and len(word) > 1:
            word = _unquoted(word[1:-1])
        if word:
            yield word.strip()


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
