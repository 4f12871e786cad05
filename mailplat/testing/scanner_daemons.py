"""Real scanners for tests: Debian's clamd, spamd and rspamd, each in a folder of the test's own.

They know one thing each, EICAR or GTUBE, so that they are up in a second and need no network; a
site's own configuration is not touched.

Invariants:

- Sockets are in the folder, ports on 127.0.0.1 alone.
- Only the process that was started here is ever signalled.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mailplat.testing.scanners import EICAR, GTUBE
from mailplat.testing.twistd import until

__all__ = [
    "STREAM_LIMIT",
    "ScannerDaemon",
    "free_port",
    "start_clamd",
    "start_rspamd",
    "start_spamd",
]

STREAM_LIMIT = 3 * 1024 * 1024
"""clamd's StreamMaxLength here, in bytes."""


class ScannerDaemon:
    """A daemon that runs.

    Attributes:
        use: The filter that asks it, as a configuration has it.

    Args:
        command: Starts it in the foreground.
        folder: Where it runs, and its log is.
        use: See above.
    """

    def __init__(self, command: Sequence[str | Path], folder: Path, use: str) -> None:
        self.use = use
        self._folder = folder
        self._log = folder / "daemon.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"},
            )

    def wait_for(self, address: Path | int) -> ScannerDaemon:
        """Wait until it takes connections, at a socket or a port."""

        def answers() -> bool:
            assert self._process.poll() is None, f"it did not start:\n{self._log.read_text()}"
            family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
            with socket.socket(family) as probe:
                try:
                    probe.connect(
                        str(address) if isinstance(address, Path) else ("127.0.0.1", address)
                    )
                except OSError:
                    return False
            return True

        try:
            until(answers, seconds=60, say="the scanner listens")
        except BaseException:
            self.stop()
            raise
        return self

    def signal(self, number: signal.Signals) -> None:
        """Stop it for a while, or let it go on."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, and take its folder away."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)


def start_clamd(folder: Path) -> ScannerDaemon:
    """Start ClamAV with one signature: EICAR's."""
    database, listens = folder / "db", folder / "clamd.socket"
    database.mkdir()
    (database / "test.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
    options = folder / "clamd.conf"
    options.write_text(
        f"LocalSocket {listens}\nDatabaseDirectory {database}\nTemporaryDirectory {folder}\n"
        f"Foreground yes\nStreamMaxLength {STREAM_LIMIT}\n"
    )
    made = ScannerDaemon(["clamd", "-c", options], folder, f"clamd:unix:{listens}")
    return made.wait_for(listens)


def start_spamd(folder: Path) -> ScannerDaemon:
    """Start SpamAssassin with one rule, and asking nobody."""
    if os.geteuid() == 0:
        # it becomes nobody, who cannot look into a test's own folder
        folder = Path(tempfile.mkdtemp(prefix="spamd-"))
        folder.chmod(0o755)
    rules, site, listens = folder / "rules", folder / "site", folder / "spamd.socket"
    rules.mkdir()
    site.mkdir()
    (rules / "test.pre").write_text("loadplugin Mail::SpamAssassin::Plugin::Check\n")
    (rules / "test.cf").write_text("")
    pattern = GTUBE.decode().replace("*", r"\*").replace(".", r"\.")
    (site / "test.cf").write_text(
        f"required_score 5\nbody GTUBE /{pattern}/\nscore GTUBE 1000\nreport_safe 0\n"
    )
    command: list[str | Path] = [
        "spamd",
        "--local",
        "-x",
        "-m",
        "2",
        "--min-spare=1",
        "-s",
        "stderr",
    ]
    paths: list[str | Path] = [
        f"--socketpath={listens}",
        "-C",
        rules,
        f"--siteconfigpath={site}",
        "-H",
        folder,
    ]
    return ScannerDaemon([*command, *paths], folder, f"spamd:unix:{listens}").wait_for(listens)


def free_port() -> int:
    """Find a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def start_rspamd(folder: Path) -> ScannerDaemon:
    """Start rspamd with no rules but its own GTUBE."""
    port = free_port()
    (folder / "tld").write_text("com\norg\n")
    options = folder / "rspamd.conf"
    options.write_text(
        f"""\
options {{
  filters = "";
  url_tld = "{folder}/tld";
  pidfile = "{folder}/rspamd.pid";
  cache_file = "{folder}/cache";
  control_socket = "{folder}/control mode=0600";
  tempdir = "{folder}";
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "notice"; }}
metric "default" {{ actions {{ reject = 15; add_header = 6; greylist = 4; }} }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""
    )
    command: list[str | Path] = ["rspamd", "-f", "-c", options]
    if os.geteuid() == 0:
        command.append("-i")
    made = ScannerDaemon(command, folder, f"rspamd:http://127.0.0.1:{port}")
    return made.wait_for(port)
