"""Options that nobody may read off a screen: passwords, keys, tokens.

A secret is written in the file itself, or, better, elsewhere::

    key_password = { file = "/etc/mailplat/key.password" }
    key_password = { env = "MAILPLAT_KEY_PASSWORD" }

Invariant: no representation of a `Secret` shows its value; only `Secret.reveal` gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailplat.config.values import Unfit

__all__ = ["Secret", "read_secret", "read_text"]

_A_SECRET = 'a text, { file = "PATH" } or { env = "NAME" }'


class Secret:
    """A value that is not shown.

    Attributes:
        source: Where it stands, if not in the configuration: ``{"file": …}`` or ``{"env": …}``.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: Mapping[str, str] | None = None) -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Give the value, for the one place that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._value == other._value and self.source == other.source

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(...)"


def read_text(value: object, directory: Path, environment: Mapping[str, str]) -> str:
    """Read a text that may stand in a file or in the environment.

    Args:
        value: What the configuration says: a text, or a table with ``file`` or ``env``.
        directory: Where a relative file name begins.
        environment: The process's environment.

    Raises:
        Unfit: It is neither, or what it names cannot be read.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise Unfit(_A_SECRET)
    ((where, name),) = value.items()
    if where not in {"file", "env"} or not isinstance(name, str):
        raise Unfit(_A_SECRET)
    if where == "env":
        if name not in environment:
            raise Unfit(f"the environment variable {name} to be set")
        return environment[name]
    try:
        text = (directory / name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Unfit(f"a file that can be read ({directory / name}: {why})") from None
    return text.removesuffix("\n").removesuffix("\r")


def read_secret(value: object, directory: Path, environment: Mapping[str, str]) -> Secret:
    """Read a secret; see `read_text`."""
    text = read_text(value, directory, environment)
    return Secret(text, dict(value) if isinstance(value, dict) else None)
