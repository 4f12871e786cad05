"""From the tables of a TOML document to options: strict, and every fault in one pass.

cattrs walks the attrs classes and collects what the readers of single values refuse; here its
errors are turned into paths and words.

Invariants:

- Nothing is converted in silence: a text is no number, a number is no boolean.
- A key that no option has is a fault, with the nearest name as a hint.
- A secret's value is never quoted.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import cattrs
from attrs import has
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from mailplat.config.locate import Path as Place
from mailplat.config.option import Option, is_limit, options_of, row_class, table_class, unless_none
from mailplat.config.options import Configuration
from mailplat.config.secrets import Secret, read_secret, read_text
from mailplat.config.values import (
    Domain,
    Duration,
    EndpointText,
    IPAddress,
    Network,
    PartOptions,
    PartText,
    Size,
    Unfit,
    read_address,
    read_domain,
    read_duration,
    read_endpoint,
    read_network,
    read_part,
    read_part_options,
    read_size,
)

__all__ = ["Refused", "structure", "structure_part"]

Reader = Callable[[Any, Any], Any]


class Refused(Exception):
    """A document that does not fit the options.

    Attributes:
        problems: Where, and what is wrong there.
    """

    def __init__(self, problems: list[tuple[Place, str]]) -> None:
        super().__init__(problems)
        self.problems = problems


def structure(
    document: Mapping[str, Any], directory: Path, environment: Mapping[str, str]
) -> Configuration:
    """Make a configuration out of a TOML document.

    Args:
        document: What `tomllib` read.
        directory: Where files with secrets begin.
        environment: Where variables with secrets are.

    Raises:
        Refused: With everything that is wrong.
    """
    try:
        return _converter(directory, environment).structure(document, Configuration)
    except ClassValidationError as error:
        raise Refused(list(_problems(error, (), Configuration, document))) from None


def structure_part(
    found: Mapping[str, Any], table: type, directory: Path, environment: Mapping[str, str]
) -> Any:
    """Make the options of a part out of what a file says of them.

    Args:
        found: The part's ``options``.
        table: The attrs class that the part's plugin reads them into.
        directory: Where files with secrets begin.
        environment: Where variables with secrets are.

    Raises:
        Refused: With everything that is wrong; places begin in the part's ``options``.
    """
    try:
        return _converter(directory, environment).structure(found, table)
    except ClassValidationError as error:
        raise Refused(list(_problems(error, (), table, found))) from None


def _converter(directory: Path, environment: Mapping[str, str]) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)

    def part(value: Any, _: Any) -> PartText:
        return read_part(read_text(value, directory, environment))

    def secret(value: Any, _: Any) -> Secret:
        return read_secret(value, directory, environment)

    readers: dict[Any, Reader] = {
        bool: _exactly(bool, "true or false"),
        int: _exactly(int, "a whole number"),
        float: _number,
        str: _exactly(str, "a text in quotes"),
        Path: lambda value, _: Path(_path(value)),
        Duration: lambda value, _: read_duration(value),
        Size: lambda value, _: read_size(value),
        IPAddress: lambda value, _: read_address(value),
        Network: lambda value, _: read_network(value),
        Domain: lambda value, _: read_domain(value),
        EndpointText: lambda value, _: read_endpoint(value),
        PartText: part,
        PartOptions: lambda value, _: read_part_options(value),
        Secret: secret,
    }
    for kind, reader in readers.items():
        converter.register_structure_hook(kind, reader)
    converter.register_structure_hook(StrEnum, _choose)
    converter.register_structure_hook_factory(_is_optional, lambda kind: _optional(converter, kind))
    converter.register_structure_hook_factory(_is_array, lambda kind: _array(converter, kind))
    converter.register_structure_hook_factory(has, lambda table: _table(converter, table))
    return converter


def _exactly(kind: type, expected: str) -> Reader:
    def read(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise Unfit(expected)
        return value

    return read


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise Unfit("a number")
    return float(value)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise Unfit("the name of a file")
    return value


def _choose(value: Any, kind: type[StrEnum]) -> StrEnum:
    words = [member.value for member in kind]
    if value not in words:
        raise Unfit("one of " + ", ".join(f'"{word}"' for word in words) + _hint(value, words))
    return kind(value)


def _is_optional(kind: Any) -> bool:
    return unless_none(kind) is not None


def _optional(converter: cattrs.Converter, kind: Any) -> Reader:
    """Read the kind itself; limits may also be ``"unlimited"``."""
    inner = unless_none(kind)
    read = converter.get_structure_hook(inner)
    limit = is_limit(kind)

    def read_optional(value: Any, _: Any) -> Any:
        if limit and value == "unlimited":
            return None
        try:
            return read(value, inner)
        except Unfit as unfit:
            raise Unfit(unfit.expected + ', or "unlimited"' if limit else unfit.expected) from None

    return read_optional


def _is_array(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _array(converter: cattrs.Converter, kind: Any) -> Reader:
    read = cattrs.cols.homogenous_tuple_structure_factory(kind, converter)
    expected = "tables in double brackets" if row_class(kind) else "an array in brackets"

    def read_array(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise Unfit(expected)
        return read(value, kind)

    return read_array


def _table(converter: cattrs.Converter, table: type) -> Reader:
    options = list(options_of(table))
    read: Reader = make_dict_structure_fn(
        table,
        converter,
        _cattrs_forbid_extra_keys=True,
        **{  # type: ignore[arg-type]  # cattrs types the keywords as its own flags
            option.attribute: override(rename=option.name, struct_hook=_bounded(converter, option))
            for option in options
        },
    )

    def read_table(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise Unfit("a table")
        return read(value, table)

    return read_table


def _bounded(converter: cattrs.Converter, option: Option) -> Reader:
    """Read an option's value and hold it to the option's bounds."""
    read = converter.get_structure_hook(option.type)

    def read_bounded(value: Any, _: Any) -> Any:
        number = read(value, option.type)
        if number is None:
            return None
        if option.least is not None and number < option.least:
            raise Unfit(f"at least {option.least:g}{_unit(option)}")
        if option.most is not None and number > option.most:
            raise Unfit(f"at most {option.most:g}{_unit(option)}")
        return number

    return read_bounded


def _unit(option: Option) -> str:
    units = {Duration: " seconds", Size: " bytes"}
    return units.get(option.type, f" ({option.unit})" if option.unit else "")


def _problems(
    error: BaseException, place: Place, kind: Any, found: Any
) -> Iterator[tuple[Place, str]]:
    """Walk an error of cattrs down to single problems; ``kind`` is what was read at ``place``."""
    if isinstance(error, ClassValidationError):
        by_attribute = {option.attribute: option for option in options_of(kind)}
        inside, others = error.group_exceptions()
        for cause, note in inside:
            option = by_attribute[note.name]
            if isinstance(cause, KeyError):
                yield place, f'"{option.name}" is missing; expected {_wanted(option)}'
            else:
                value = found.get(option.name)
                yield from _problems(cause, (*place, option.name), option.type, value)
        for other in others:
            yield from _problems(other, place, kind, found)
    elif isinstance(error, IterableValidationError):
        inner = get_args(kind)[0]
        for cause, element in error.group_exceptions()[0]:
            at = int(element.index)
            yield from _problems(cause, (*place, at), inner, found[at])
    elif isinstance(error, ForbiddenExtraKeysError):
        names = [option.name for option in options_of(kind)]
        for key in sorted(error.extra_fields):
            yield (*place, key), "there is no such option" + _hint(key, names) + _elsewhere(key)
    elif isinstance(error, Unfit):
        yield place, f"found {_quote(found, kind)}, expected {error.expected}"
    else:
        raise error


def _wanted(option: Option) -> str:
    return f"for example {option.name} = {json.dumps(option.example, ensure_ascii=False)}"


def _hint(word: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""


def _elsewhere(key: str) -> str:
    """Name the tables that have an option of that name."""
    tables = [
        table.name
        for table in options_of(Configuration)
        if (inside := table_class(table.type) or row_class(table.type))
        and key in {option.name for option in options_of(inside)}
    ]
    return f"; [{'] and ['.join(tables)}] has it" if tables else ""


def _quote(value: Any, kind: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if Secret in {kind, unless_none(kind)}:
        return "a secret"
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
