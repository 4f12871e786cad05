"""A DNS of a few names, and keys for the tests of authentication."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest

from mailplat.model.errors import Unavailable
from mailplat.testing.domain_keys import DomainKey, domain_key


@pytest.fixture
def pair() -> Callable[..., DomainKey]:
    """Makes keys, each kind and size once."""
    return domain_key


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine that never has to wait."""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")

    return run


@pytest.fixture
def texts() -> Callable[[dict[str, Any]], Callable[[str], Awaitable[Sequence[bytes]]]]:
    """Makes a DNS of TXT records; None stands for a name that nobody answers for."""

    def texts(zone: dict[str, Any]) -> Callable[[str], Awaitable[Sequence[bytes]]]:
        async def asked(name: str) -> Sequence[bytes]:
            found = zone.get(name, ())
            if found is None:
                raise Unavailable(f"no answer for {name}")
            return [found] if isinstance(found, bytes) else found

        return asked

    return texts
