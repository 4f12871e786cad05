"""A pytest plugin: a real mail server as a fixture.

In a ``conftest.py`` or a test module::

    pytest_plugins = ["mailplat.testing.fixtures"]

and any test may take ``mail_server``.  One server runs for the whole session, in a process of its
own, on free ports of 127.0.0.1, and leaves nothing behind.  A session that wants another one
overrides ``mail_store`` (``"memory:"``) and ``mail_users`` (2), whose scope is the session too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailplat.testing.twistd import Installation, TwistdServer

__all__ = ["mail_server", "mail_store", "mail_users"]


@pytest.fixture(scope="session")
def mail_store() -> str:
    """The store of the server: a part, as in the configuration."""
    return "memory:"


@pytest.fixture(scope="session")
def mail_users() -> int:
    """How many accounts there are."""
    return 2


@pytest.fixture(scope="session")
def mail_server(
    tmp_path_factory: pytest.TempPathFactory, mail_store: str, mail_users: int
) -> Iterator[TwistdServer]:
    """A mail server, running; what it complained about in its log fails at the end."""
    folder = tmp_path_factory.mktemp("mail-server")
    server = TwistdServer(Installation.make(folder, mail_store, users=mail_users))
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.end()
    assert not server.complaints(), "\n".join(server.complaints())
