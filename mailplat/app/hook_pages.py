"""The reference of hooks, made from the code: what a filter is asked, and with what.

::

    python -m mailplat.app.hook_pages > docs/hooks.md
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from mailplat.interfaces.filters import (
    QUEUE_STAGES,
    Context,
    IFilter,
    IStages,
    Mail,
    Stage,
    Stages,
)
from mailplat.interfaces.hooks import Denial, QueuedMail, Report
from mailplat.model.verdict import Action, Change, Verdict

__all__ = ["render_hooks"]

_PREFACE = """\
# Hooks

This page is made from the code by `python -m mailplat.app.hook_pages`. How to write a filter is
told in [Write a filter](howto/filter.md); how filters are configured, in
[Configuration](configuration.md).

A filter has `stages`, the names of the hooks at which it wants to be asked, and an object with a
method for each of them. A method gives a `Verdict`, or awaits one. It is never trusted: an
exception, an answer that is none or comes too late, and a verdict that asks for too much count as
the operator's `on_error`, by default "try again later".
"""

_TOLD = {Stage.DENY, Stage.DISCONNECT}


def render_hooks() -> str:
    """Write the whole page."""
    return "\n".join(_lines()).rstrip() + "\n"


def _lines() -> Iterator[str]:
    yield _PREFACE
    yield "## Order\n"
    yield "Of a session: " + ", ".join(f"`{one}`" for one in Stage if one not in QUEUE_STAGES)
    yield "(`deny` whenever something is refused).\n"
    yield "Of the queue: " + ", ".join(f"`{one}`" for one in Stage if one in QUEUE_STAGES) + ".\n"
    for stage in Stage:
        yield from _hook(stage)
    yield "## A filter\n"
    yield _paragraphs(inspect.getdoc(IFilter) or "") + "\n"
    yield "## Verdicts\n"
    yield _paragraphs((inspect.getdoc(Verdict) or "").partition("\n\n")[0]) + "\n"
    yield from _fields(Verdict)
    yield _paragraphs(inspect.getdoc(Action) or "") + "\n"
    yield ", ".join(f"`{one.name}`" for one in Action) + ".\n"
    yield "## Changes\n"
    for change in _members(Change):
        fields = ", ".join(field.name for field in dataclasses.fields(change))
        words = _paragraphs(inspect.getdoc(change) or "")
        yield f"- `{change.__name__}({fields})`: {words}"
    yield ""
    for kind in (Context, Mail, Denial, QueuedMail, Report):
        yield f"## `{kind.__name__}`\n"
        yield _paragraphs((inspect.getdoc(kind) or "").partition("\n\n")[0]) + "\n"
        yield from _fields(kind)


def _hook(stage: Stage) -> Iterator[str]:
    name = stage.value
    parameters = list(inspect.signature(getattr(Stages, name)).parameters)[1:]
    yield f"## `{name}({', '.join(parameters)})`\n"
    yield _paragraphs(IStages[name].getDoc()) + "\n"
    yield f"*{_weight(stage)}*\n"


def _weight(stage: Stage) -> str:
    """Say what an answer counts for."""
    if stage in _TOLD:
        return "Told, not asked: the answer counts for nothing."
    if stage is Stage.ATTEMPT:
        return "Asked, in the queue: nothing that is answered loses the mail."
    if stage in QUEUE_STAGES:
        return "Told, in the queue: of the answer only tags count."
    return "Asked: the verdict decides."


def _fields(kind: Any) -> Iterator[str]:
    """Write the attributes of a dataclass as its docstring tells them."""
    told = _attributes(inspect.getdoc(kind) or "")
    yield "| attribute | meaning |"
    yield "|---|---|"
    for field in dataclasses.fields(kind):
        yield f"| `{field.name}` | {told.get(field.name, '')} |"
    yield ""


def _attributes(doc: str) -> dict[str, str]:
    """Read the section Attributes of a docstring (Google style)."""
    _, _, section = doc.partition("Attributes:\n")
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", textwrap.dedent(section)):
        name, _, words = entry.partition(":")
        found[name.strip()] = _paragraphs(words).replace("|", "\\|")
    return found


def _paragraphs(doc: str) -> str:
    """Write a docstring as Markdown: its code in single back-ticks, a line a paragraph."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(doc).replace("``", "`"))
    return "\n\n".join(_joined(part) for part in parts)


def _joined(part: str) -> str:
    if part.lstrip().startswith("- "):
        return "\n".join(" ".join(item.split()) for item in re.split(r"\n(?=- )", part))
    return " ".join(part.split())


def _members(union: Any) -> list[type]:
    return list(union.__args__)


if __name__ == "__main__":
    sys.stdout.write(render_hooks())
