"""Keys for SCRAM in the three backends, and in the accounts file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.accounts.file import FileAccounts
from mailplat.accounts.memory import MemoryAccounts
from mailplat.accounts.schemes import hash_password, hashes_of, matches, scheme_of, scram_keys_of
from mailplat.accounts.sql import SQLAccounts
from mailplat.accounts.text import directory_of, read_rows, rewrite, write_rows
from mailplat.interfaces.plugins import PasswordSettings
from mailplat.model.errors import Corrupt
from mailplat.testing import accounts

SETTINGS = PasswordSettings(
    scheme="SSHA512", scram=("SCRAM-SHA-256",), scram_iterations=4096, decoy_key=b"x" * 32
)


class TestScram(accounts.ScramContract):
    """All three."""

    @pytest_twisted.async_yield_fixture(params=["memory", "file", "sql"])
    async def scram_accounts(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[Any]:
        """A backend without accounts."""
        (tmp_path / "file").touch()
        made: dict[str, Any] = {
            "memory": lambda: MemoryAccounts(reactor, SETTINGS),
            "file": lambda: FileAccounts(tmp_path / "file", reactor, SETTINGS),
            "sql": lambda: SQLAccounts(tmp_path / "sql", reactor, SETTINGS),
        }
        backend = made[request.param]()
        await backend.open()
        yield backend
        await backend.close()


def test_two_hashes_of_a_password() -> None:
    """The slow hash checks passwords, the keys prove them; each is found among the others."""
    both = hash_password("pässwörd", "SSHA512", ("SCRAM-SHA-256", "SCRAM-SHA-1"), 4096)
    assert [scheme_of(one) for one in hashes_of(both)] == [
        "SSHA512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
    ]
    assert matches(both, "pässwörd")
    assert not matches(both, "other")
    for algorithm in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        assert scram_keys_of(both, algorithm) is not None
        (alone,) = (one for one in hashes_of(both) if scheme_of(one) == algorithm)
        assert matches(alone, "pa\u0308sswo\u0308rd")
        assert not matches(alone, "other")
    assert scram_keys_of("{SSHA512}x", "SCRAM-SHA-256") is None
    assert hashes_of("") == []
    with pytest.raises(Corrupt):
        scram_keys_of("{SCRAM-SHA-256}4096,x", "SCRAM-SHA-256")


def test_the_file_keeps_further_hashes() -> None:
    """A further hash is a field of its own, and Dovecot's spelling is taken as it is."""
    text = (
        "a@example.org:{PLAIN}x:password={SCRAM-SHA-256}"
        "4096,QSXCR+Q6sek8bf92,a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V=,"
        "a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V=:alias=a\n"
    )
    rows = read_rows(text, "accounts")
    directory = directory_of(rows)
    assert directory.scram_algorithms == {"SCRAM-SHA-256"}
    changed = directory.with_password("a@example.org", "{PLAIN}y\n{PLAIN}z")
    written = write_rows(rewrite(rows, changed))
    assert written == "a@example.org:{PLAIN}y:password={PLAIN}z:alias=a\n"
    assert next(iter(directory_of(read_rows(written, "x")))).password == "{PLAIN}y\n{PLAIN}z"
