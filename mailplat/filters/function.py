"""A filter in a few lines: a function, and the stage that it is asked at.

::

    from mailplat.filters.function import asked_at
    from mailplat.model.verdict import Verdict

    @asked_at("sender")
    def rude(context, sender):
        return Verdict.reject("Be polite") if "@rude." in str(sender.address) else None

In a module of ``mailplat/plugins`` that is a whole plugin: ``use = "rude:"`` asks it.  None is no
objection.  A function that has a parameter called ``argument`` gets what follows the colon.  An
``async def`` is awaited.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.model.verdict import CONTINUE, Verdict

__all__ = ["FunctionFilter", "FunctionPlugin", "asked_at"]


def asked_at(*stages: str) -> Callable[[Callable[..., Any]], FunctionPlugin]:
    """Make a plugin of a function; its prefix is the function's name.

    Args:
        stages: Names of stages (`mailplat.interfaces.filters.Stage`), at least one.

    Raises:
        ValueError: There is no such stage.
    """
    at = tuple(Stage(stage) for stage in stages)
    if not at:
        raise ValueError("asked_at needs the name of a stage")
    return lambda function: FunctionPlugin(function, at)


@implementer(IPlugin, IFilterPlugin)
class FunctionPlugin:
    """Makes filters of one function.

    Args:
        function: Takes the context and what the stage is about.
        stages: When it is asked.
    """

    def __init__(self, function: Callable[..., Any], stages: Sequence[Stage]) -> None:
        self.prefix = function.__name__
        self._function = function
        self._stages = stages

    def filter(self, name: str, argument: str, settings: FilterSettings) -> IFilter:
        """See `IFilterPlugin.filter`."""
        function = self._function
        if "argument" in inspect.signature(function).parameters:
            function = partial(function, argument=argument)
        return FunctionFilter(name, function, self._stages)


@implementer(IFilter)
class FunctionFilter:
    """A filter that is a function.

    Args:
        name: Its name in the configuration.
        function: Takes the context and what the stage is about.
        stages: When it is asked.
    """

    def __init__(self, name: str, function: Callable[..., Any], stages: Sequence[Stage]) -> None:
        self.name = name
        self.stages = stages
        self._made = _made(function, stages)

    def open(self) -> IStages:
        """See `IFilter.open`: a function remembers nothing, so one object serves everybody."""
        return self._made


def _made(function: Callable[..., Any], stages: Sequence[Stage]) -> IStages:
    def ask(*subject: Any) -> Any:
        answer = function(*subject)
        if isinstance(answer, Awaitable):
            return _awaited(answer)
        return CONTINUE if answer is None else answer

    made = _Asked()
    for stage in stages:
        setattr(made, stage.value, ask)
    return made


@implementer(IStages)
class _Asked(Stages):
    """Has the function in place of the methods of its stages."""


async def _awaited(answer: Awaitable[Verdict | None]) -> Verdict:
    return await answer or CONTINUE
