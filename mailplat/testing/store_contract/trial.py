"""One test of the contract by itself, for those who test the contract: does it bite?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor

from mailplat.interfaces.plugins import StoreSettings
from mailplat.testing import turns
from mailplat.testing.store_contract.fixtures import FOLDERS, MakeStore, StoreFixtures

__all__ = ["Broken", "passes", "run_one"]


@dataclass(frozen=True)
class Broken:
    """A store that breaks one rule: a right one with one method replaced.

    Attributes:
        owner: The class that has the method.
        method: The method.
        breaking: Given the right method, it makes the broken one.
        contract: The part of the contract that must notice.
        test: The test that must fail.
        params: The test's parameters.
    """

    owner: type
    method: str
    breaking: Callable[[Any], Any]
    contract: type[StoreFixtures]
    test: str
    params: dict[str, Any] = field(default_factory=dict)


async def run_one(
    contract: type[StoreFixtures],
    test: str,
    make_store: MakeStore,
    directory: Path,
    params: dict[str, Any],
) -> None:
    """Run one test with the fixtures that it asks for; raise what it raises."""
    data = directory / "data"
    data.mkdir()
    settings = StoreSettings(reactor, str(data), FOLDERS, contract.keyword_limit)
    store = make_store(settings)
    await store.open()
    home = await store.open_home("alice@example.org")
    mailbox = await home.open_mailbox("INBOX")
    have = {
        "make_store": make_store,
        "settings": settings,
        "store": store,
        "home": home,
        "mailbox": mailbox,
        "tmp_path": directory,
        **params,
    }
    function = getattr(contract(), test)
    try:
        await function(**{name: have[name] for name in inspect.signature(function).parameters})
    finally:
        mailbox.close()
        await store.close()


async def passes(
    broken: Broken,
    make_store: MakeStore,
    directory: Path,
    patch: pytest.MonkeyPatch,
) -> bool:
    """Break a store, and tell whether the test that should notice passes all the same."""
    right = inspect.getattr_static(broken.owner, broken.method)
    patch.setattr(broken.owner, broken.method, broken.breaking(right))
    patch.setattr(turns.until, "__defaults__", (0.2,))  # what never comes is soon known
    try:
        await run_one(broken.contract, broken.test, make_store, directory, broken.params)
    except (Exception, pytest.fail.Exception):
        return False
    return True
