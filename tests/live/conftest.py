"""Real processes: a server of ours for each store, and other people's mail programs.

A server is started once for each store and shared; every test gets an account of its own.  What is
not installed skips its tests and names the package; with ``MAILPLAT_NO_SKIP`` set it fails them.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mailplat.testing.twistd import Installation, TwistdServer

STORES = {
    "memory": "memory:",
    "sql": "sql:sqlite:///mail.db",
    "maildir": "maildir:mail",
}

PACKAGES = {
    "clamd": "clamav-daemon",
    "doveadm": "dovecot-core",
    "getmail": "getmail6",
    "mbsync": "isync",
    "node": "nodejs",
    "offlineimap": "offlineimap3",
    "smtp-sink": "postfix",
}
"""Debian packages that are not called like their program."""

SHARED_OPTIONS = {
    "smtp": 'bare_newlines = "accept"\nmax_text_line = "1MiB"\nmax_errors = 20',
    "message": 'max_size = "4MiB"',
}

SHARED_ACCOUNTS = "small@example.org:{PLAIN}pass-word:quota-messages=1:quota-storage=100KiB\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of these as live."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """Finds a program, or skips."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            why = f"{name} is not installed: apt install {PACKAGES.get(name, name)}"
            if os.environ.get("MAILPLAT_NO_SKIP"):
                pytest.fail(why)
            pytest.skip(why)
        return path

    return find


@pytest.fixture(scope="session", params=STORES)
def shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwistdServer]:
    """One server a store for many tests."""
    folder = tmp_path_factory.mktemp(f"server-{request.param}")
    server = TwistdServer(
        Installation.make(
            folder,
            STORES[request.param],
            users=400,
            options=SHARED_OPTIONS,
            accounts=SHARED_ACCOUNTS,
        )
    )
    try:
        server.start()
        yield server
        server.stop()
        assert not server.complaints()
    finally:
        server.end()


@pytest.fixture
def server(shared_server: TwistdServer) -> Iterator[TwistdServer]:
    """The shared server; what it logs while the test runs has to be free of complaints."""
    before = len(shared_server.log())
    yield shared_server
    complaints = shared_server.complaints(before)
    assert not complaints, "the server complained:\n" + "\n".join(complaints)


@pytest.fixture(scope="session")
def all_users(shared_server: TwistdServer) -> Iterator[str]:
    """The accounts of the shared server, one after the other."""
    return iter(shared_server.installation.users)


@pytest.fixture
def user(all_users: Iterator[str]) -> str:
    """An account that no other test has."""
    return next(all_users)


@pytest.fixture
def other_user(all_users: Iterator[str]) -> str:
    """A second account that no other test has."""
    return next(all_users)


@pytest.fixture(params=["sql", "maildir"])
def durable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TwistdServer]:
    """A server of the test's own, not started yet, over a store that survives."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = TwistdServer(Installation.make(folder, STORES[request.param]))
    try:
        yield server
    finally:
        server.end()
    assert not server.complaints(), "\n".join(server.complaints())


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run(tmp_path: Path, needs: Callable[[str], str]) -> Run:
    """Runs a program in a home of its own, bounded in time; a failure shows what it said."""
    home = tmp_path / "home"
    home.mkdir()

    def run(
        command: Sequence[str | Path],
        *,
        stdin: bytes = b"",
        codes: Sequence[int] = (0,),
        environment: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> subprocess.CompletedProcess[bytes]:
        name, *arguments = map(str, command)
        done = subprocess.run(
            [needs(name), *arguments],
            input=stdin,
            capture_output=True,
            timeout=seconds,
            cwd=home,
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "TMPDIR": str(tmp_path),
                **(environment or {}),
            },
            check=False,
        )
        said = f"{done.stdout.decode('utf-8', 'replace')}\n{done.stderr.decode('utf-8', 'replace')}"
        assert done.returncode in codes, f"{name} ended with {done.returncode}:\n{said}"
        return done

    return run


@pytest.fixture
def at_a_terminal(
    tmp_path: Path, needs: Callable[[str], str]
) -> Callable[[Sequence[str | Path]], bytes]:
    """Runs a program that wants a terminal; gives what it showed."""

    def run(command: Sequence[str | Path]) -> bytes:
        name, *arguments = map(str, command)
        keyboard, terminal = pty.openpty()
        shown = b""
        with subprocess.Popen(
            [needs(name), *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=tmp_path,
            start_new_session=True,
            env={
                "HOME": str(tmp_path),
                "PATH": os.environ["PATH"],
                "TERM": "vt100",
                "LC_ALL": "C.UTF-8",
                "TMPDIR": str(tmp_path),
            },
        ) as process:
            os.close(terminal)
            try:
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    ready, _, _ = select.select([keyboard], [], [], 1.0)
                    if ready:
                        try:
                            shown += os.read(keyboard, 65536)
                        except OSError:  # the terminal is closed
                            break
                process.wait(max(1.0, end - time.monotonic()))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                os.close(keyboard)
        assert process.returncode == 0, shown[-4000:].decode("utf-8", "replace")
        return shown

    return run


@pytest.fixture
def private(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file that only its owner may read, as programs want it for passwords."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.touch(0o600)
        path.write_text(text)
        return path

    return write
