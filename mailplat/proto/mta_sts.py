"""What a domain publishes for MTA-STS: its record in DNS and its policy file (RFC 8461 §3).

Invariants:

- What does not follow the grammar is no record and no policy; fields nobody knows are passed over.
- Of a field that comes twice the first counts, but for ``mx`` (§3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "LONGEST_AGE",
    "BadPolicy",
    "Mode",
    "StsPolicy",
    "policy_url",
    "read_policy",
    "record_id",
]

LONGEST_AGE = 31_557_600
"""Seconds that a policy may hold: about a year (§3.2)."""

_MOST_HOSTS = 1000
_RECORD = re.compile(rb"v=STSv1[ \t]*;.*", re.DOTALL)
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([!-:<>-~]+)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*(.*?)[ \t]*")
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9-]{1,63}")


class BadPolicy(ValueError):
    """A policy file that is none."""


class Mode(Enum):
    """What a policy asks for (§5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A domain's policy.

    Attributes:
        mode: What it asks for.
        max_age: Seconds that it holds after it was fetched.
        hosts: Names of its exchangers, or patterns (``*.example.org``), in lower case.
    """

    mode: Mode
    max_age: int
    hosts: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """Tell whether mail may go to an exchanger (§4.1): a ``*`` is exactly one label."""
        name = host.lower().removesuffix(".")
        return name in self.hosts or f"*.{name.partition('.')[2]}" in self.hosts

    def lines(self) -> tuple[str, ...]:
        """Spell the policy as its file does, line by line, as reports want it (RFC 8460 §4.4)."""
        return (
            "version: STSv1",
            f"mode: {self.mode.value}",
            *(f"mx: {host}" for host in self.hosts),
            f"max_age: {self.max_age}",
        )


def policy_url(domain: str) -> str:
    """Tell where a domain's policy is (§3.3); the domain is in ASCII."""
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def record_id(texts: Iterable[bytes]) -> str | None:
    """Find the policy's id in the texts of ``_mta-sts.DOMAIN``; None for no policy (§3.1)."""
    records = [text for text in texts if _RECORD.fullmatch(text)]
    if len(records) != 1:
        return None
    found = ""
    for word in records[0].decode("latin-1").split(";")[1:]:
        field = _FIELD.fullmatch(word.strip(" \t"))
        if field is None:
            if word.strip(" \t"):
                return None
        elif field[1] == "id":
            found = found or field[2]
    return found if _ID.fullmatch(found) else None


def read_policy(data: bytes) -> StsPolicy:
    """Read a policy file (§3.2).

    Raises:
        BadPolicy: It is none.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadPolicy("it is not UTF-8") from None
    fields: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise BadPolicy("a line is no field")
        if found[1] == "mx":
            hosts.append(_host(found[2]))
        else:
            fields.setdefault(found[1], found[2])
    if fields.get("version") != "STSv1":
        raise BadPolicy("its version is not STSv1")
    try:
        mode = Mode(fields.get("mode", ""))
    except ValueError:
        raise BadPolicy("its mode is none of enforce, testing, none") from None
    age = fields.get("max_age", "")
    if not re.fullmatch(r"[0-9]{1,10}", age) or int(age) > LONGEST_AGE:
        raise BadPolicy("its max_age is not a number of seconds up to a year")
    if len(hosts) > _MOST_HOSTS or (not hosts and mode is not Mode.NONE):
        raise BadPolicy(f"it names no exchangers, or more than {_MOST_HOSTS}")
    return StsPolicy(mode, int(age), tuple(dict.fromkeys(hosts)))


def _host(text: str) -> str:
    host = text.lower().removesuffix(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise BadPolicy("an mx is neither a host nor *.DOMAIN")
    return host
