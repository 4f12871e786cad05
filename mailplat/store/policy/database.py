"""What the policy table asks of a database; a connection is used by one thread, and blocks it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from mailplat.interfaces.policy_table import Kept
from mailplat.model.errors import ConfigurationFault
from mailplat.store.policy.schema import SCHEMA_VERSION

__all__ = ["PolicyConnection", "PolicyDatabase", "check_version"]


class PolicyConnection(Protocol):
    """One connection.  Every method raises `MailError` for what the database says."""

    def begin(self, keys: Collection[str]) -> dict[str, Kept]:
        """Begin a transaction in which nobody else changes these keys; give what they have."""

    def commit(self, changed: Mapping[str, Kept]) -> None:
        """Write, and end the transaction; a power cut may take the newest ones."""

    def rollback(self) -> None:
        """Undo the transaction; never raises."""

    def sweep(self, now: float, most: int) -> int:
        """Remove what expired, and what is more than so many entries; tell how many stay."""

    def close(self) -> None:
        """Let go of it; never raises."""


class PolicyDatabase(Protocol):
    """Where connections come from."""

    name: str
    """For messages to the operator."""

    def connect(self) -> PolicyConnection:
        """Connect; make the table if it is not there.

        Raises:
            MailError: It cannot be done; the reason says the remedy.
        """


def check_version(name: str, found: Sequence[int]) -> None:
    """Make sure that this code knows a table.

    Raises:
        ConfigurationFault: It was made by a newer mailplat.
    """
    if found and max(found) > SCHEMA_VERSION:
        raise ConfigurationFault(
            f"{name}: the policy table was written by a newer mailplat (schema {max(found)}, this "
            f"one knows {SCHEMA_VERSION}); use that one"
        )
