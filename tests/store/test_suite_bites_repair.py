"""The contract of `IRepairable` bites: a store that looks away, or mends nothing, fails it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.store import IStore
from mailplat.interfaces.upkeep import FaultKind
from mailplat.model.numset import NumSet
from mailplat.store.index.upkeep import Upkeep
from mailplat.store.sql.store import sql_store
from mailplat.testing import stores
from mailplat.testing.store_contract.trial import Broken, passes, run_one
from mailplat.testing.strict import LoggedErrors


def _gives(value: Any) -> Callable[[Any], Any]:
    async def given(*args: Any, **named: Any) -> Any:
        return value

    return lambda right: given


def _broken(method: str, value: Any, test: str, kind: FaultKind | None = None) -> Broken:
    return Broken(
        Upkeep, method, _gives(value), stores.RepairContract, test, {"kind": kind} if kind else {}
    )


MENDED = "test_what_can_be_mended"
BROKEN = {
    "sees nothing of an account": _broken("faults", [], MENDED, FaultKind.COUNT),
    "sees nothing of the store": _broken("store_faults", [], MENDED, FaultKind.LEFTOVER),
    "does not count again": _broken("recount", None, MENDED, FaultKind.COUNT),
    "makes no summaries": _broken("summarize", NumSet.of([3]), MENDED, FaultKind.SUMMARY),
    "says that it swept": _broken("sweep", 2, MENDED, FaultKind.LEFTOVER),
    "says that it read what is lost": _broken(
        "summarize", NumSet.span(1, 6), "test_bytes_that_are_lost"
    ),
}


def _make(settings: StoreSettings, made: list[IStore]) -> IStore:
    made.append(sql_store("sqlite:///mail.db", settings))
    return made[-1]


def _spoil(settings: StoreSettings, statements: str) -> None:
    raw = sqlite3.connect(Path(settings.directory, "mail.db"))
    raw.executescript(statements)
    raw.close()


@pytest.mark.parametrize("what", BROKEN)
@pytest_twisted.ensureDeferred
async def test_the_contract_notices(
    what: str,
    tmp_path: Path,
    spoiled_index: dict[FaultKind, str],
    monkeypatch: pytest.MonkeyPatch,
    logged_errors: LoggedErrors,
) -> None:
    """The store as it is passes; one that breaks this rule fails."""
    broken = BROKEN[what]
    damages = {kind: partial(_spoil, statements=text) for kind, text in spoiled_index.items()}
    broken.params["damages"] = damages
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    made: list[IStore] = []
    make = partial(_make, made=made)
    await run_one(broken.contract, broken.test, make, right, broken.params)
    assert not await passes(broken, make, wrong, monkeypatch)
    for store in made:  # a test that fails leaves its own open
        await store.close()
    logged_errors.flush()
