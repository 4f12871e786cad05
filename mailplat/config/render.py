"""Writes a configuration as a commented TOML file: every option, its meaning, its default.

Invariant: reading what was written gives the same configuration again; what is at its default
stands in a comment, so that a new release's default reaches old files.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

from attrs import NOTHING

from mailplat.config.option import Option, is_limit, options_of, row_class, table_class, unless_none
from mailplat.config.options import Configuration
from mailplat.config.secrets import Secret
from mailplat.config.values import (
    Domain,
    Duration,
    EndpointText,
    IPAddress,
    Network,
    PartOptions,
    PartText,
    Size,
    spell_duration,
    spell_size,
)

__all__ = ["about_table", "describe_kind", "render_toml", "spell", "spell_as"]

_PREFACE = """\
The configuration of mailplat, in TOML.

Every option stands here with its meaning and its default. To change one, take away the "#" in
front of it and write your value. Then let `mailplatctl check-config FILE` look at it: it names
every fault with its line.

Durations are written "30s", "5m", "2h", "5d"; sizes "64KiB", "50MiB", "2GB". Relative paths begin
in the folder of this file. A secret, or the description of a part (`use`), may also be given as
{ file = "PATH" } or { env = "NAME" }."""

_WORDS = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Duration: "duration",
    Size: "size",
    IPAddress: "IP address",
    Network: "network",
    Domain: "domain",
    EndpointText: "endpoint",
    PartText: "part",
    PartOptions: "table of options",
    Secret: "secret",
}


def render_toml(configuration: Configuration) -> str:
    """Write a configuration as a commented file."""
    lines = [*_comment(_PREFACE), ""]
    for option in options_of(Configuration):
        value = getattr(configuration, option.attribute)
        lines += ["", ""]
        if table := table_class(option.type):
            lines += [*_comment(about_table(table)), "", f"[{option.name}]"]
            lines += _table(table, value, (option.name,))
        else:
            lines += _rows(option, value, (option.name,))
    return "\n".join(lines) + "\n"


def about_table(table: type) -> str:
    """Give what is said of a whole table: the docstring of its class."""
    first, _, rest = (table.__doc__ or "").partition("\n")
    return "\n\n".join(filter(None, [first, textwrap.dedent(rest).strip()]))


def _table(table: type, value: Any, place: tuple[str, ...]) -> Iterator[str]:
    """Write the options of a table; arrays of tables come last, as TOML needs them to."""
    options = list(options_of(table))
    for option in options:
        if not row_class(option.type):
            yield ""
            yield from _comment(meaning_of(option))
            yield from _pair(option, getattr(value, option.attribute))
    for option in options:
        if row_class(option.type):
            yield ""
            yield from _rows(option, getattr(value, option.attribute), (*place, option.name))


def _pair(option: Option, value: Any) -> Iterator[str]:
    if option.example is not None and not option.default:
        yield f"# For example: {option.name} = {spell(option.example)}"
    if value != option.default:
        yield f"{option.name} = {spell_as(option.type, value)}"
    elif value is not None or is_limit(option.type):
        yield f"#{option.name} = {spell_as(option.type, value)}"


def _rows(option: Option, rows: tuple[Any, ...], place: tuple[str, ...]) -> Iterator[str]:
    """Write an array of tables: what is set, or how it could be set in comments."""
    table = row_class(option.type)
    assert table is not None
    yield from _comment(about_table(table))
    for inner in options_of(table):
        yield from _comment(f"- {inner.name}: {meaning_of(inner)}", hang="  ")
    header, mark = f"[[{'.'.join(place)}]]", "#" if rows == option.default else ""
    for row in rows or [None]:
        yield from ["", mark + header]
        for inner in options_of(table):
            value = _example(inner) if row is None else getattr(row, inner.attribute)
            if value != inner.default:
                yield f"{mark}{inner.name} = {spell_as(inner.type, value)}"


def _example(option: Option) -> Any:
    """Give what a row that shows how it is done has there: only what it must have."""
    return option.example if option.default is NOTHING else option.default


def meaning_of(option: Option) -> str:
    """Say what an option does, in what unit and after whom."""
    unit = f" Unit: {option.unit}." if option.unit else ""
    return option.meaning + unit + (f" Precedent: {option.precedent}." if option.precedent else "")


def describe_kind(kind: Any) -> str:
    """Say what is written as a value: ``list of domain``."""
    if get_origin(kind) is tuple:
        return f"list of {describe_kind(get_args(kind)[0])}"
    if inner := unless_none(kind):
        return describe_kind(inner) + (' or `"unlimited"`' if is_limit(kind) else "")
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f'`"{member.value}"`' for member in kind)
    return _WORDS[kind]


def spell_as(kind: Any, value: Any) -> str:
    """Spell a value as TOML, in the units of its kind."""
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return "[" + ", ".join(spell_as(inner, element) for element in value) + "]"
    if inner := unless_none(kind):
        return spell("unlimited") if value is None else spell_as(inner, value)
    if kind is Duration:
        return spell(spell_duration(value))
    if kind is Size:
        return spell(spell_size(value))
    return spell(value)


def spell(value: Any) -> str:
    """Spell a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Secret):
        return spell(value.reveal() if value.source is None else dict(value.source))
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {spell(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(spell, value)) + "]"
    # JSON's escapes are TOML's, but that TOML wants DEL escaped too
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str, hang: str = "") -> Iterable[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield "#"
        for line in textwrap.wrap(paragraph, 96, subsequent_indent=hang, break_on_hyphens=False):
            yield f"# {line}"
