"""Debian's postgrey for tests: a policy service that greylists, in a folder of the test's own."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from mailplat.testing.scanner_daemons import ScannerDaemon

__all__ = ["start_postgrey"]


def start_postgrey(folder: Path, *, delay: int = 1) -> ScannerDaemon:
    """Start postgrey.

    Args:
        folder: Where its socket and its database are.
        delay: Seconds that a mail has to wait.
    """
    listens, database, nobody = folder / "postgrey.socket", folder / "db", folder / "nobody"
    database.mkdir()
    nobody.write_text("")
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    command: list[str | Path] = [
        *("postgrey", f"--unix={listens}", f"--dbdir={database}", f"--delay={delay}"),
        *(f"--user={user}", f"--group={group}", "--hostname=mx.example.org"),
        *(f"--whitelist-clients={nobody}", f"--whitelist-recipients={nobody}"),
    ]
    made = ScannerDaemon(command, folder, f"policy_service:unix:{listens}")
    return made.wait_for(listens)
