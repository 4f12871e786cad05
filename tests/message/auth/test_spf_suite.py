"""The public test suite of RFC 7208 (rfc7208-tests.yml), where it is found.

It is not ours to carry: set MAILPLAT_RFC7208_TESTS to its path; pyspf's sources have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mailplat.message.auth.spf import Client, check
from mailplat.model.errors import Unavailable

SUITE = os.environ.get("MAILPLAT_RFC7208_TESTS", "")


class Zone:
    """The DNS of a scenario."""

    def __init__(self, data: dict[str, list[Any]]) -> None:
        self._data = {name.lower(): records for name, records in data.items()}

    def _records(self, name: str, kind: str, depth: int = 0) -> Iterator[Any]:
        records = self._data.get(name.lower().removesuffix("."), [])
        own = [next(iter(one)) for one in records if isinstance(one, dict)]
        given = False
        for one in records:
            if one == "TIMEOUT":
                if not given:
                    raise Unavailable(name)
                return
            if not isinstance(one, dict):
                continue
            ((found, value),) = one.items()
            if found == "SPF" and kind == "TXT" and "TXT" not in own:
                found = "TXT"  # the suite's drivers double them
            if found == "CNAME" and depth < 10:
                yield from self._records(value, kind, depth + 1)
            elif found == kind and value == "TIMEOUT":
                raise Unavailable(name)
            elif found == kind and value != "NONE":
                given = True
                yield value

    async def txt(self, name: str) -> Sequence[bytes]:
        """Join the strings."""
        return [
            (value if isinstance(value, str) else "".join(value)).encode("latin-1")
            for value in self._records(name, "TXT")
        ]

    async def addresses(self, name: str, version: int) -> Sequence[str]:
        """A or AAAA."""
        return list(self._records(name, "A" if version == 4 else "AAAA"))

    async def mx(self, name: str) -> Sequence[str]:
        """Sort by preference."""
        return [host for _, host in sorted(map(tuple, self._records(name, "MX"))) if host]

    async def ptr(self, address: str) -> Sequence[str]:
        """Ask for the reverse name."""
        from ipaddress import ip_address

        return list(self._records(ip_address(address).reverse_pointer, "PTR"))


def cases() -> Iterator[Any]:
    """Read the suite."""
    if not SUITE:
        return
    yaml = pytest.importorskip("yaml")
    for scenario in yaml.safe_load_all(Path(SUITE).read_text()):
        for name, case in scenario["tests"].items():
            yield pytest.param(case, scenario["zonedata"], id=name)


@pytest.mark.skipif(not SUITE, reason="MAILPLAT_RFC7208_TESTS is not set")
@pytest.mark.parametrize(("case", "zone"), list(cases()))
def test_case(case: dict[str, Any], zone: dict[str, list[Any]], run: Any) -> None:
    """A case of the suite has one of the results that it allows."""
    client = Client(str(case["host"]), str(case["helo"]), case["mailfrom"] or "", "receiver", 1)
    found = run(check(client, Zone(zone)))
    wanted = case["result"]
    assert found.result in ([wanted] if isinstance(wanted, str) else wanted), found
    explanation = case.get("explanation", "DEFAULT")
    wanted = "" if explanation == "DEFAULT" else explanation
    assert found.explanation.lower() == wanted.lower()  # digits of IPv6 in either case
