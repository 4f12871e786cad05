"""How one option is defined: its default, its meaning and whom its default follows.

Options are the fields of attrs classes, a class a table of the TOML file.  A field's type says what
may be written there; everything else that is known about it stands in its definition, so that the
reader of the file, the commented file and the reference come from one place::

    idle_timeout: Duration = option(duration("30m"), meaning="...", precedent="RFC 9051 §5.4")

Invariant: every field of every class was made by `option` or `required`.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import attrs

from mailplat.config.values import Size

__all__ = [
    "Option",
    "is_limit",
    "option",
    "options_of",
    "required",
    "row_class",
    "table_class",
    "unless_none",
]

T = TypeVar("T")

_ABOUT = "mailplat.option"


@dataclass(frozen=True, slots=True)
class Option:
    """What is known about one option.

    Attributes:
        name: Its key in the TOML file.
        attribute: The field of the attrs class that holds its value.
        type: Its annotation, evaluated.
        default: Its value where the file says nothing; `attrs.NOTHING` if it must be said.
        meaning: What it does, in a sentence or two.
        unit: What a number counts; ``""`` where the type says it.
        precedent: Which standard or program the default follows.
        example: What the commented file shows where the default says little.
        least: The smallest number allowed, None without bound.
        most: The largest number allowed, None without bound.
    """

    name: str
    attribute: str
    type: Any
    default: Any
    meaning: str
    unit: str = ""
    precedent: str = ""
    example: Any = None
    least: float | None = None
    most: float | None = None


def option(
    default: T,
    *,
    meaning: str,
    unit: str = "",
    precedent: str = "",
    name: str = "",
    example: Any = None,
    least: float | None = None,
    most: float | None = None,
) -> T:
    """Define an option of an attrs class; see `Option` for the arguments."""
    about = {
        "name": name,
        "meaning": meaning,
        "unit": unit,
        "precedent": precedent,
        "example": example,
        "least": least,
        "most": most,
    }
    return attrs.field(default=default, metadata={_ABOUT: about})


def required(*, meaning: str, example: Any, precedent: str = "") -> Any:
    """Define an option that has no default: the file must say it."""
    about = {"name": "", "meaning": meaning, "precedent": precedent, "example": example}
    return attrs.field(metadata={_ABOUT: about})


def options_of(table: type) -> Iterator[Option]:
    """Give the options of an attrs class in the order of their definition."""
    hints = typing.get_type_hints(table)
    for field in attrs.fields(table):
        about = dict(field.metadata[_ABOUT])
        about["name"] = about["name"] or field.name
        yield Option(attribute=field.name, type=hints[field.name], default=field.default, **about)


def table_class(kind: Any) -> type | None:
    """Give the attrs class of an option that is a table; None for another option."""
    return kind if isinstance(kind, type) and attrs.has(kind) else None


def row_class(kind: Any) -> type | None:
    """Give the attrs class of an option that is an array of tables; None for another option."""
    if isinstance(kind, types.GenericAlias) and kind.__origin__ is tuple:
        return table_class(kind.__args__[0])
    return None


def unless_none(kind: Any) -> Any:
    """Give what an option is where it is set; None for an option that is always set."""
    if typing.get_origin(kind) not in {types.UnionType, typing.Union}:
        return None
    (inner,) = (arg for arg in typing.get_args(kind) if arg is not types.NoneType)
    return inner


def is_limit(kind: Any) -> bool:
    """Tell whether an option may also be ``"unlimited"``, which is None."""
    return unless_none(kind) in {int, Size}
