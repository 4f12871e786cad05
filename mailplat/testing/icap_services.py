"""ICAP services for tests: a fake that knows EICAR, and Debian's c-icap with its virus scanner.

The real one has clamd behind it, with one signature; both are in a folder of the test's own.
"""

from __future__ import annotations

import getpass
import grp
import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from mailplat.testing.scanner_daemons import ScannerDaemon, free_port, start_clamd
from mailplat.testing.scanners import EICAR

__all__ = ["FakeIcap", "IcapDaemon", "c_icap_modules", "start_c_icap"]


def c_icap_modules() -> Path | None:
    """Find the folder of c-icap's modules, if the virus scanner is there."""
    found = Path("/usr/lib").glob("*/c_icap/virus_scan.so")
    return next((path.parent for path in found), None)


class FakeIcap:
    """As an ICAP server does that closes after each answer, and wants no preview.

    Attributes:
        options: The fields that OPTIONS is answered with.
    """

    scheme = "icap://"

    def __init__(self) -> None:
        self.options = b"Methods: RESPMOD, REQMOD\r\nAllow: 204\r\nISTag: x\r\n"
        self._asked = b""

    def message(self, data: bytes) -> bytes | None:
        """Take the chunks together."""
        head, empty, rest = data.partition(b"\r\n\r\n")
        if not empty:
            return None
        self._asked = head.split()[0]
        if self._asked == b"OPTIONS":
            return b""
        start = re.search(rb"body=(\d+)", head)
        assert start is not None
        rest, found = rest[int(start[1]) :], b""
        while True:
            size, line, rest = rest.partition(b"\r\n")
            if not line:
                return None
            length = int(size.split(b";")[0], 16)
            if len(rest) < length + 2:
                return None
            if not length:
                return found
            found, rest = found + rest[:length], rest[length + 2 :]

    def answer(self, message: bytes) -> bytes:
        """Find EICAR."""
        if self._asked == b"OPTIONS":
            self._asked = b""
            return (
                b"ICAP/1.0 200 OK\r\n" + self.options + b"Connection: close\r\n"
                b"Encapsulated: null-body=0\r\n\r\n"
            )
        if EICAR not in message:
            return b"ICAP/1.0 204 No Content\r\nConnection: close\r\n\r\n"
        page, body = b"HTTP/1.1 403 Forbidden\r\n\r\n", b"No."
        return (
            b"ICAP/1.0 200 OK\r\nConnection: close\r\n"
            b"X-Infection-Found: Type=0; Resolution=2; Threat=Eicar-Test;\r\n"
            b"Encapsulated: res-hdr=0, res-body=%d\r\n\r\n%s%x\r\n%s\r\n0\r\n\r\n"
            % (len(page), page, len(body), body)
        )


class IcapDaemon(ScannerDaemon):
    """c-icap, and the clamd behind it."""

    behind: ScannerDaemon | None = None
    port = 0

    def stop(self) -> None:
        """End both."""
        if self.behind is not None:
            self.behind.stop()
        # asked to stop, it waits many seconds for its children, who wait for their connections
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self.signal(signal.SIGKILL)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        super().stop()


def start_c_icap(folder: Path) -> IcapDaemon:
    """Start c-icap with the services ``echo`` and ``avscan``."""
    modules, behind = c_icap_modules(), folder / "clamd"
    behind.mkdir()
    folder.chmod(0o755)
    clamd = start_clamd(behind)
    port, options = free_port(), folder / "c-icap.conf"
    user, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    options.write_text(
        f"PidFile {folder}/pid\nCommandsSocket {folder}/ctl\nPort 127.0.0.1:{port}\n"
        f"User {user}\nGroup {group}\nServerName test\nServerAdmin test@example.org\n"
        f"TmpDir {folder}\nModulesDir {modules}\nServicesDir {modules}\n"
        "StartServers 1\nMaxServers 2\nMinSpareThreads 5\nMaxSpareThreads 20\n"
        "ThreadsPerChild 20\nDebugLevel 1\nTemplateDir /usr/share/c_icap/templates/\n"
        "LoadMagicFile /etc/c-icap/c-icap.magic\n"
        f"ServerLog {folder}/server.log\nAccessLog {folder}/access.log\n"
        "Service echo srv_echo.so\n"
        "Module common clamd_mod.so\n"
        f"clamd_mod.ClamdSocket {clamd.use.removeprefix('clamd:unix:')}\n"
        "Service antivirus_module virus_scan.so\n"
        "ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple\n"
        "virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE\n"
        "virus_scan.MaxObjectSize 50M\nvirus_scan.DefaultEngine clamd\n"
    )
    use = f"icap:icap://127.0.0.1:{port}/avscan"
    made = IcapDaemon(["c-icap", "-N", "-f", options], folder, use)
    made.behind, made.port = clamd, port
    made.wait_for(port)
    return made
