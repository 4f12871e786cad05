"""What plugins there are, from where, and which could not be loaded.

A plugin is an object that provides `IPlugin` of twisted.plugin and one of the interfaces of
`mailplat.interfaces.plugins`.  It is found in two places:

- in a module of the package `mailplat.plugins`, whose path `twisted.plugin.pluginPackagePaths`
  extends by the folder ``mailplat/plugins`` of every entry of sys.path;
- by an entry point of the group ``mailplat.plugins``, which names the object or a module of them.

Invariant: a plugin that cannot be loaded is told, and hides no other one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from twisted.logger import Logger
from twisted.plugin import IPlugin, pluginPackagePaths

from mailplat import plugins

__all__ = ["ENTRY_POINTS", "Broken", "Found", "find_all"]

ENTRY_POINTS = "mailplat.plugins"
"""The group of entry points."""

_log = Logger()
_told: set[str] = set()


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin.

    Attributes:
        plugin: The object.
        where: The file it stands in.
        entry_point: The entry point that led to it; None for a module of `mailplat.plugins`.
    """

    plugin: Any
    where: str
    entry_point: EntryPoint | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """What should have been plugins.

    Attributes:
        name: The module, or the entry point with its distribution.
        why: The error, on one line.
    """

    name: str
    why: str


def find_all() -> tuple[list[Found], list[Broken]]:
    """Look for plugins; those of mailplat come first, and those of a name after it by name."""
    found: list[Found] = []
    broken: list[Broken] = []
    # a folder that was added to sys.path since the package was imported counts too
    paths = [path for path in pluginPackagePaths(plugins.__name__) if path not in plugins.__path__]
    plugins.__path__.extend(paths)
    for name in _modules():
        try:
            module = importlib.import_module(name)
        except Exception as error:
            broken.append(_broken(name, error))
        else:
            found += [Found(one, str(module.__file__)) for one in _in(module)]
    for point in _points():
        try:
            loaded = point.load()
        except Exception as error:
            dist = f" of {point.dist.name}" if point.dist is not None else ""
            broken.append(_broken(f"entry point {point.name}{dist} ({point.value})", error))
            continue
        module = loaded if isinstance(loaded, ModuleType) else importlib.import_module(point.module)
        objects = _in(loaded) if isinstance(loaded, ModuleType) else [loaded]
        found += [Found(one, str(module.__file__), point) for one in objects]
    return found, broken


@cache  # what is installed does not change under a running process
def _points() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name))


def _modules() -> Iterable[str]:
    names = {one.name for one in pkgutil.iter_modules(plugins.__path__)}
    prefix = f"{plugins.__name__}."
    return [prefix + name for name in sorted(names, key=lambda name: (not _ours(name), name))]


def _ours(name: str) -> bool:
    return name.startswith("mailplat_")


def _in(module: ModuleType) -> Iterator[Any]:
    seen: set[int] = set()
    for value in vars(module).values():
        if IPlugin.providedBy(value) and id(value) not in seen:
            seen.add(id(value))
            yield value


def _broken(name: str, error: Exception) -> Broken:
    why = " ".join(f"{type(error).__name__}: {error}".split())
    if name not in _told:  # once, however often somebody looks
        _told.add(name)
        _log.warn("the plugin {name} cannot be loaded: {why}", name=name, why=why)
    return Broken(name, why)
