"""The control socket: how `mailplatctl` tells a running server that something changed.

A Unix socket ``control`` in the data directory, for its owner alone (mode 0600).  A client sends a
line, the server does what it says and answers a line: ``queue changed`` is answered ``ok`` after
the queue was told to look at its spool again, ``policies changed`` after the policies of MTA-STS
are being read again.  There is nothing else to ask for, and nothing that could be read or changed
by it: what the operator wants is written into the spool itself, in one
transaction, whether a server runs or not.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from mailplat.model.errors import ConfigurationFault

__all__ = ["POLICIES_CHANGED", "QUEUE_CHANGED", "Control", "tell"]

QUEUE_CHANGED = "queue changed"
"""What is said after something in the spool changed."""

POLICIES_CHANGED = "policies changed"
"""What is said after policies of MTA-STS were fetched by another process."""

_NAME = "control"
_LONGEST = 100
"""Bytes of a line, and of the path of a Unix socket (unix(7): 107)."""


class Control:
    """The server's side.

    Args:
        reactor: Opens the socket.
        directory: The data directory.
        commands: What to do for each line.
    """

    def __init__(
        self, reactor: Any, directory: Path, commands: Mapping[str, Callable[[], object]]
    ) -> None:
        self._reactor = reactor
        self._path = str(directory / _NAME)
        self._factory = Factory.forProtocol(_Lines)
        self._factory.noisy = False
        self._factory.commands = commands  # type: ignore[attr-defined]
        self._port: IListeningPort | None = None

    async def open(self) -> None:
        """Listen; a socket that a crash left is in nobody's use, for the spool is locked.

        Raises:
            ConfigurationFault: It cannot be made.
        """
        if len(os.fsencode(self._path)) > _LONGEST:
            raise ConfigurationFault(
                f"{self._path}: too long for a socket; expected a server.data_directory with a "
                f"path of at most {_LONGEST - len(_NAME) - 1} bytes"
            )
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        try:
            self._port = self._reactor.listenUNIX(self._path, self._factory, mode=0o600)
        except CannotListenError as error:
            raise ConfigurationFault(f"{self._path}: {error.socketError}") from None

    async def close(self) -> None:
        """Listen no more; the socket is removed."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)


class _Lines(LineOnlyReceiver):
    """One client."""

    delimiter = b"\n"
    MAX_LENGTH = _LONGEST

    def lineReceived(self, line: bytes) -> None:
        """Do what a line says."""
        command = self.factory.commands.get(line.decode("utf-8", "replace").strip())
        if command is not None:
            command()
        self.sendLine(b"unknown" if command is None else b"ok")  # type: ignore[no-untyped-call]


def tell(directory: Path, line: str) -> bool:
    """Say a line to the server that runs on a data directory; blocks.

    Returns:
        Whether there is one, and it did what the line says.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(directory / _NAME))
            client.sendall(line.encode() + b"\n")
            return client.recv(_LONGEST) == b"ok\n"
        except OSError:
            return False
