"""The Sender Rewriting Scheme: forwarded mail gets a reverse path of ours, and reports find back.

``SRS0=HASH=TT=domain=local@ours`` holds the address that it stands for, the day it was made and a
keyed hash; what another forwarder made becomes ``SRS1=HASH=forwarder==HASH=TT=domain=local@ours``,
so that a chain of forwarders does not make it longer (Shevek, "The Sender Rewriting Scheme", 2004).

Invariants:

- `SenderRewriting.backward` gives an address only if we made what it is given, not too long ago:
  nobody relays through us by inventing one.
- A hash holds for any spelling in upper and lower case, since servers on the way may change it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Callable, Sequence

from mailplat.model.address import Address

__all__ = ["SenderRewriting"]

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DAY = 86400
_CYCLE = 1024
"""Days until a time stamp of two digits is used again."""

_HASH = 8
"""Characters of a hash, 5 bits each; guessing one takes a dialogue a try."""

_OURS_0 = re.compile(r"SRS0[=+-]([A-Z2-7]+)=([A-Z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE | re.DOTALL)
_OURS_1 = re.compile(r"SRS1[=+-]([A-Z2-7]+)=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)
_FOREIGN_0 = re.compile(r"SRS0([=+-].+)", re.IGNORECASE | re.DOTALL)
_FOREIGN_1 = re.compile(r"SRS1[=+-][^=]+=([^=]+)=([=+-].+)", re.IGNORECASE | re.DOTALL)


class SenderRewriting:
    """Rewrites reverse paths, and reads them again.

    Args:
        domain: Ours, that rewritten addresses are in.
        secrets: Keys: the first signs, any of them verifies.
        now: The time, seconds since 1970 UTC.
        days: How long a rewritten address leads back.
    """

    def __init__(
        self, domain: str, secrets: Sequence[bytes], now: Callable[[], float], *, days: int = 21
    ) -> None:
        self.domain = domain.lower()
        self._secrets = tuple(secrets)
        self._now = now
        self._days = days

    def forward(self, sender: Address) -> Address:
        """Give the address of ours that stands for a sender."""
        found = _FOREIGN_1.fullmatch(sender.local)
        if found is not None:
            host, rest = found[1], found[2]
        elif (found := _FOREIGN_0.fullmatch(sender.local)) is not None:
            host, rest = sender.domain, found[1]
        else:
            stamp = self._stamp()
            signed = self._hash(self._secrets[0], stamp, sender.domain, sender.local)
            local = f"SRS0={signed}={stamp}={sender.domain}={sender.local}"
            return Address(local, self.domain)
        return Address(
            f"SRS1={self._hash(self._secrets[0], host, rest)}={host}={rest}", self.domain
        )

    def is_rewritten(self, address: Address) -> bool:
        """Tell whether an address looks like one that we made."""
        return address.domain.lower() == self.domain and bool(
            _OURS_0.fullmatch(address.local) or _OURS_1.fullmatch(address.local)
        )

    def backward(self, address: Address) -> Address | None:
        """Give the address that one of ours stands for; None if we did not make it, or too old."""
        found = _OURS_0.fullmatch(address.local)
        if found is not None:
            signed, stamp, domain, local = found.groups()
            if not self._is_signed(signed, stamp, domain, local) or not self._is_fresh(stamp):
                return None
            return Address(local, domain)
        found = _OURS_1.fullmatch(address.local)
        if found is None:
            return None
        signed, host, rest = found.groups()
        return Address(f"SRS0{rest}", host) if self._is_signed(signed, host, rest) else None

    def _stamp(self) -> str:
        day = int(self._now() // _DAY) % _CYCLE
        return _DIGITS[day >> 5] + _DIGITS[day & 31]

    def _is_fresh(self, stamp: str) -> bool:
        high, low = (_DIGITS.index(digit) for digit in stamp.upper())
        made = high << 5 | low
        return (int(self._now() // _DAY) - made) % _CYCLE <= self._days

    def _is_signed(self, signed: str, *parts: str) -> bool:
        given = signed.upper()
        return any(
            hmac.compare_digest(self._hash(secret, *parts), given) for secret in self._secrets
        )

    def _hash(self, secret: bytes, *parts: str) -> str:
        text = "\0".join(parts).lower().encode("utf-8", "surrogatepass")
        return b32encode(hmac.digest(secret, text, hashlib.sha256))[:_HASH].decode()
