"""Writes the reference of all options, in Markdown, from their definitions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import NOTHING

from mailplat.config.option import Option, is_limit, options_of, row_class, table_class
from mailplat.config.options import Configuration
from mailplat.config.render import about_table, describe_kind, spell, spell_as

__all__ = ["options_table", "render_reference"]

_PREFACE = """\
# Configuration

mailplat reads one TOML file: `twistd mailplat --config FILE`. `mailplatctl init DIR` writes one
with every option in it, as `etc/mailplat.toml` shows. The whole file is checked before a port is
opened, and by `mailplatctl check-config FILE`: each fault is named with its line, what was found
there and what was expected.

## How values are written

| kind | examples |
|---|---|
| duration | `"30s"`, `"5m"`, `"1h30m"`, `"5d"`, `"250ms"`; a plain number is seconds |
| size | `"64KiB"`, `"50MiB"`, `"2GB"`; a plain number is bytes |
| path | `"tls/server.pem"`; relative paths begin in the folder of the file |
| IP address | `"192.0.2.1"`, `"::1"` |
| domain | `"example.org"` |
| endpoint | `"tcp:25:interface=192.0.2.1"`, `"unix:/run/lmtp.sock"`: Twisted's, without TLS |
| part | `"maildir:/var/mail"`: the prefix of a plugin, a colon, the plugin's argument |
| table of options | `{ timeout = "5s" }`, or `[agent.options]` and its lines below |
| secret | `{ file = "/etc/mailplat/key.password" }`, `{ env = "NAME" }`, or the text itself |

A part may be given as `{ file = … }` or `{ env = … }` too. A secret is never shown, in no log and
no message.
"""


def render_reference() -> str:
    """Write the whole reference."""
    return "\n".join([_PREFACE, *_sections()]) + "\n"


def _sections() -> Iterator[str]:
    for option in options_of(Configuration):
        table = table_class(option.type) or row_class(option.type)
        assert table is not None
        yield from _section(option.name, table, many=table_class(option.type) is None)
        for inner in options_of(table):
            if row := row_class(inner.type):
                yield from _section(f"{option.name}.{inner.name}", row, many=True)


def _section(name: str, table: type, *, many: bool) -> Iterator[str]:
    yield f"## `[[{name}]]`" if many else f"## `[{name}]`"
    yield ""
    yield about_table(table)
    yield ""
    yield from options_table(table)
    yield ""


def options_table(table: type) -> Iterator[str]:
    """Write the options of one table, as lines of a table in Markdown."""
    yield "| option | default | value | meaning |"
    yield "|---|---|---|---|"
    for option in options_of(table):
        if not row_class(option.type):
            yield _row(option)


def _row(option: Option) -> str:
    cells = [f"`{option.name}`", _default(option), _value(option), _meaning(option)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(option: Option) -> str:
    if option.default is NOTHING:
        return "required"
    if option.default is None:
        return '`"unlimited"`' if is_limit(option.type) else "not set"
    return f"`{spell_as(option.type, option.default)}`"


def _value(option: Option) -> str:
    bounds = _bounds(option)
    return option.unit + bounds if option.unit else describe_kind(option.type) + bounds


def _bounds(option: Option) -> str:
    def say(number: Any) -> str:
        return spell_as(option.type, number).strip('"')

    if option.least is not None and option.most is not None:
        return f", {say(option.least)} to {say(option.most)}"
    if option.least is not None:
        return f", at least {say(option.least)}"
    return f", at most {say(option.most)}" if option.most is not None else ""


def _meaning(option: Option) -> str:
    words = option.meaning
    if option.example is not None:
        words += f" Example: `{spell(option.example)}`."
    if option.precedent:
        words += f" *{option.precedent}*"
    return words
