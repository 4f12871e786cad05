"""IMAP sessions over a wire and a store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mailplat.interfaces.imap_extensions import IIMAPExtension
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.sessions.imap.unauthenticate import UnauthenticateExtension
from mailplat.testing.imap_server import IMAPServer


@pytest.fixture
def options() -> IMAPOptions:
    """What the operator says; a test may override it."""
    return IMAPOptions(auth_needs_tls=False)


@pytest.fixture
def extensions() -> Sequence[IIMAPExtension]:
    """The extensions that come with the server; a test may override it."""
    return [UnauthenticateExtension()]


@pytest.fixture
def server(
    tmp_path: object, options: IMAPOptions, extensions: Sequence[IIMAPExtension]
) -> Iterator[IMAPServer]:
    """A server with an empty store."""
    made = IMAPServer(str(tmp_path), options=options, extensions=extensions)
    yield made
    made.close()
