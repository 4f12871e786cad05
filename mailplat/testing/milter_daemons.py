"""Real milters for tests: Debian's opendkim, clamav-milter and rspamd's proxy worker.

Each runs in a folder of the test's own, on sockets there or on 127.0.0.1; clamav-milter has a clamd
of one signature behind it.  A site's own configuration is not touched.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from mailplat.testing.scanner_daemons import ScannerDaemon, free_port, start_clamd

__all__ = ["MILTERS", "MilterDaemon", "start_clamav_milter", "start_opendkim", "start_rspamd_proxy"]


class MilterDaemon(ScannerDaemon):
    """A milter that runs, with what it needs behind it."""

    behind: ScannerDaemon | None = None

    def stop(self) -> None:
        """End both."""
        if self.behind is not None:
            self.behind.stop()
        # libmilter looks every five seconds whether it is to stop
        self.signal(signal.SIGKILL)
        super().stop()


def start_opendkim(
    folder: Path, *, domain: str = "example.org", records: str = "", canonical: str = "simple"
) -> MilterDaemon:
    """Start OpenDKIM: signs mail of who logged in with ``key.pem``, and verifies all other mail.

    Args:
        folder: Where it runs; ``key.pem`` is there already.
        domain: Whose mail is signed, with the selector ``s``.
        records: What it knows of the DNS: a name and a text a line.
        canonical: How signatures canonicalise header and body.
    """
    listens, options = folder / "opendkim.socket", folder / "opendkim.conf"
    (folder / "hosts").write_text("192.0.2.200\n")
    (folder / "dns").write_text(records)
    options.write_text(
        f"Syslog no\nBackground no\nRequireSafeKeys no\nDomain {domain}\nSelector s\n"
        f"KeyFile {folder}/key.pem\nSocket local:{listens}\nMode sv\nPidFile {folder}/pid\n"
        f"InternalHosts {folder}/hosts\nCanonicalization {canonical}/{canonical}\n"
        f"TestDNSData file:{folder}/dns\nAlwaysAddARHeader yes\n"
    )
    made = MilterDaemon(["opendkim", "-f", "-x", options], folder, f"milter:unix:{listens}")
    made.wait_for(listens)
    return made


def start_clamav_milter(folder: Path) -> MilterDaemon:
    """Start clamav-milter, which refuses EICAR."""
    behind = folder / "clamd"
    behind.mkdir()
    clamd = start_clamd(behind)
    socket = clamd.use.removeprefix("clamd:")
    listens, options = folder / "milter.socket", folder / "milter.conf"
    options.write_text(
        f"MilterSocket {listens}\nClamdSocket {socket}\nForeground yes\nOnInfected Reject\n"
        f"RejectMsg Virus: %v\nAddHeader Replace\nTemporaryDirectory {folder}\n"
        f"LogFile {folder}/milter.log\n"
    )
    made = MilterDaemon(["clamav-milter", "-c", options], folder, f"milter:unix:{listens}")
    made.behind = clamd
    made.wait_for(listens)
    return made


def start_rspamd_proxy(folder: Path) -> MilterDaemon:
    """Start rspamd's proxy worker, which scans by itself and knows GTUBE."""
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
worker "rspamd_proxy" {{
  bind_socket = "127.0.0.1:{port}";
  count = 1;
  milter = yes;
  timeout = 10s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
"""
    )
    command: list[str | Path] = ["rspamd", "-f", "-c", options]
    if os.geteuid() == 0:
        command.append("-i")
    made = MilterDaemon(command, folder, f"milter:tcp:127.0.0.1:{port}")
    made.wait_for(port)
    return made


MILTERS = {"clamav-milter": start_clamav_milter, "rspamd": start_rspamd_proxy}
"""Those that refuse a mail that one sees from outside: EICAR, and GTUBE."""
