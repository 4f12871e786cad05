"""What a measurement says, and how it is printed: a Markdown table that reads as text too.

A ratio is always ours by the peer's, taken in the same run.  For rates more is better; for times
and memory (units ``ms``, ``s``, ``KiB``) less is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Figure", "Table", "printed"]

_LESS_IS_BETTER = frozenset({"ms", "s", "KiB", "B"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table.

    Attributes:
        what: What was done.
        unit: Of both values: ``/s``, ``ms``, ``KiB``...
        ours: Our value.
        peer: That of whom we are compared with; None where nobody was asked.
        wanted: The ratio that is the least for a rate, the most for a time; None for no aim.
    """

    what: str
    unit: str
    ours: float
    peer: float | None = None
    wanted: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours by the peer's."""
        return self.ours / self.peer if self.peer else None

    @property
    def missed(self) -> bool:
        """Whether there was an aim, and it was not reached."""
        if self.wanted is None or self.ratio is None:
            return False
        if self.unit in _LESS_IS_BETTER:
            return self.ratio > self.wanted
        return self.ratio < self.wanted

    def aim(self) -> str:
        """Tell the aim in words."""
        if self.wanted is None:
            return ""
        sign = "<=" if self.unit in _LESS_IS_BETTER else ">="
        return f"{sign} {self.wanted:g}{' MISSED' if self.missed else ''}"


@dataclass(frozen=True, slots=True)
class Table:
    """Figures that belong together.

    Attributes:
        title: What they are about.
        command: What makes them again.
        figures: The lines.
        peer: Who we are compared with.
        note: What one has to know to read them.
    """

    title: str
    command: str
    figures: Sequence[Figure]
    peer: str = "peer"
    note: str = ""


def printed(table: Table) -> str:
    """Make the text of a table."""
    head = ("what", "unit", "ours", table.peer, "ratio", "wanted")
    rows = [head, *(_cells(figure) for figure in table.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rule = [
        "-" * width if column < 2 else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines = [f"## {table.title}", ""]
    if table.note:
        lines += [table.note, ""]
    lines += [_line(head, widths), _line(rule, widths)]
    lines += [_line(row, widths) for row in rows[1:]]
    return "\n".join([*lines, "", f"    {table.command}", ""])


def _cells(figure: Figure) -> tuple[str, str, str, str, str, str]:
    ratio = figure.ratio
    return (
        figure.what,
        figure.unit,
        _number(figure.ours),
        "" if figure.peer is None else _number(figure.peer),
        "" if ratio is None else f"{ratio:.2f}",
        figure.aim(),
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"
