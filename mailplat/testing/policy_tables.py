"""What every policy table keeps to: subclass `PolicyTableContract`, and say how to make one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from zope.interface.verify import verifyObject

from mailplat.interfaces.policy_table import IPolicyTable, Kept
from mailplat.model.errors import Unavailable

__all__ = ["PolicyTableContract", "counted"]


def counted(key: str, expires: float) -> Any:
    """Give what counts the calls of a key: the count before is the result."""

    def decide(values: Mapping[str, str]) -> tuple[int, Mapping[str, Kept]]:
        before = int(values.get(key, "0"))
        return before, {key: Kept(str(before + 1), expires)}

    return decide


class PolicyTableContract(abc.ABC):
    """The promises of `IPolicyTable`.

    Attributes:
        time: Seconds since 1970, as the tables are told.
    """

    time = 1_000_000.0

    @abc.abstractmethod
    async def make(self, entries: int = 1000) -> IPolicyTable:
        """Make a new, empty table, which tells the time by `now`; the test closes it."""

    def now(self) -> float:
        """Tell the time."""
        return self.time

    @pytest_twisted.ensureDeferred
    async def test_remembers(self) -> None:
        """What was put down is there at the next update, and other keys are not."""
        table = await self.make()
        assert verifyObject(IPolicyTable, table)
        later = self.now() + 60
        assert await table.update(["a"], counted("a", later)) == 0
        assert await table.update(["a"], counted("a", later)) == 1
        assert await table.update(["b"], counted("b", later)) == 0
        seen = await table.update(["a", "b", "c"], lambda values: (dict(values), {}))
        assert seen == {"a": "2", "b": "1"}
        await table.close()

    @pytest_twisted.ensureDeferred
    async def test_forgets_what_expired(self) -> None:
        """A value is there until its time, and not after it."""
        table = await self.make()
        await table.update(["a"], counted("a", self.now() + 60))
        self.time += 59
        assert await table.update(["a"], counted("a", self.now() + 10)) == 1
        self.time += 11
        assert await table.update(["a"], counted("a", self.now() + 10)) == 0
        await table.close()

    @pytest_twisted.ensureDeferred
    async def test_updates_are_one_by_one(self) -> None:
        """Updates that are asked for at once each see what the one before did."""
        table = await self.make()
        later = self.now() + 60
        asked = [
            Deferred.fromCoroutine(_asked(table, "a", counted("a", later))) for _ in range(300)
        ]
        assert sorted(await gatherResults(asked)) == list(range(300))
        await table.close()

    @pytest_twisted.ensureDeferred
    async def test_errors_of_one(self) -> None:
        """What goes wrong in one update is its own, and changes nothing."""
        table = await self.make()

        def wrong(values: Mapping[str, str]) -> Any:
            raise ZeroDivisionError

        later = self.now() + 60
        asked = [
            Deferred.fromCoroutine(_asked(table, "a", decide))
            for decide in (counted("a", later), wrong, counted("a", later))
        ]
        with pytest.raises(ZeroDivisionError):
            await asked[1]
        assert [await asked[0], await asked[2]] == [0, 1]
        await table.close()

    @pytest.mark.parametrize("key", ["", "a\0b", "\udcff", "\U0001f4e7", "'; DROP", "x" * 5000])
    @pytest_twisted.ensureDeferred
    async def test_any_text_is_a_key(self, key: str) -> None:
        """Keys hold what strangers say."""
        table = await self.make()
        later = self.now() + 60
        assert await table.update([key], counted(key, later)) == 0
        assert await table.update([key], counted(key, later)) == 1
        assert await table.update([key + "y"], counted(key + "y", later)) == 0
        await table.close()

    @pytest_twisted.ensureDeferred
    async def test_is_bounded(self) -> None:
        """However many keys come, about so many are kept as it may have."""
        table = await self.make(entries=50)
        for number in range(200):
            key = f"k{number}"
            await table.update([key], counted(key, self.now() + 60 + number))
        keys = [f"k{number}" for number in range(200)]
        seen = await table.update(keys, lambda values: (dict(values), {}))
        assert 25 <= len(seen) <= 60
        assert "k199" in seen
        assert "k0" not in seen
        await table.close()

    @pytest_twisted.ensureDeferred
    async def test_closed(self) -> None:
        """A table that is closed answers nobody."""
        table = await self.make()
        await table.update(["a"], counted("a", self.now() + 60))
        await table.close()
        with pytest.raises(Unavailable):
            await table.update(["a"], counted("a", self.now() + 60))


async def _asked(table: IPolicyTable, key: str, decide: Any) -> int:
    result: int = await table.update([key], decide)
    return result
