"""Imports plugins again whose files changed, so that a reload runs the code that is there now.

A module is taken out of `sys.modules` and imported anew; objects of the old one go on with the old
code.  Modules of mailplat itself are never touched: their classes are shared by everything.

Invariant: if anything fails until the end of the block, all old modules are back in their places.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

from twisted.logger import Logger

from mailplat import plugins

__all__ = ["remember", "renewed_plugins"]

_log = Logger()

_PREFIX = f"{plugins.__name__}."
_seen: dict[str, tuple[int, int] | None] = {}
"""Of each module, when its file had changed last when it was imported, and its size."""


@contextmanager
def renewed_plugins(in_use: Iterable[object]) -> Iterator[None]:
    """Forget the plugin modules whose files changed; what is read within imports them anew.

    Args:
        in_use: Parts that plugins made; the modules of their classes are plugins' modules too.
    """
    importlib.invalidate_caches()  # files that came meanwhile
    taken: dict[str, ModuleType] = {}
    for name, module in _modules(in_use).items():
        if _seen.get(name) != _stamp(module):
            taken[name] = sys.modules.pop(name)
    try:
        yield
    except BaseException:
        sys.modules.update(taken)
        raise
    if taken:
        _log.info("reload: plugins imported again: {names}", names=", ".join(taken))


def remember(in_use: Iterable[object]) -> None:
    """Note the files of plugins as they are now.

    Args:
        in_use: As above.
    """
    _seen.update({name: _stamp(module) for name, module in _modules(in_use).items()})


def _modules(in_use: Iterable[object]) -> dict[str, ModuleType]:
    """Find the modules of plugins, but mailplat's own."""
    names = {type(one).__module__ for one in in_use}
    names |= {name for name in sys.modules if name.startswith(_PREFIX)}
    return {
        name: module
        for name in sorted(names)
        if not _ours(name) and (module := sys.modules.get(name)) is not None
    }


def _ours(name: str) -> bool:
    if name.startswith(_PREFIX):
        return name.startswith(f"{_PREFIX}mailplat_")
    return name == "mailplat" or name.startswith("mailplat.")


def _stamp(module: ModuleType) -> tuple[int, int] | None:
    file = getattr(module, "__file__", None)
    try:
        status = os.stat(file) if isinstance(file, str) else None
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_size)
