"""The list of subscriptions of a Maildir, shared with a Dovecot."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.store.maildir.subscriptions import merged_file, subscribed_names

NAMES = frozenset({"INBOX", "Sent", "Lists/Entwürfe", "a & b"})
NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A Maildir that somebody may read who is not root: Dovecot serves nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="mailplat-dovecot-"))
    try:
        folder.chmod(0o755)
        for sub in ("cur", "new", "tmp"):
            (folder / "mail" / sub).mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("before", [b"", b"Sent\n"], ids=["version 2", "version 1"])
def test_each_reads_what_the_other_wrote(
    shared: Path, private: Callable[[str, str], Path], run: Any, before: bytes
) -> None:
    """Dovecot lists what was written here, and its changes are read here."""
    is_root = os.geteuid() == 0
    user, group = (NOBODY, NOBODY) if is_root else (os.geteuid(), os.getegid())
    path = shared / "mail" / "subscriptions"
    path.write_bytes(merged_file(before, NAMES))
    if is_root:
        for each in (shared / "mail", *(shared / "mail").iterdir()):
            os.chown(each, NOBODY, NOBODY)
    settings = private(
        "dovecot.conf",
        f"mail_location = maildir:{shared}/mail\nbase_dir = {shared}/run\nlog_path = /dev/stderr\n"
        f"mail_uid = {user}\nmail_gid = {group}\nssl = no\n"
        "namespace inbox {\n  inbox = yes\n  separator = /\n}\n",
    )

    def doveadm(*words: str) -> str:
        command = ["doveadm", "-c", settings, "mailbox", *words]
        said: bytes = run(command, environment={"USER": "somebody"}, seconds=20).stdout
        return said.decode()

    assert set(doveadm("list", "-s").splitlines()) == NAMES
    doveadm("subscribe", "Työ/Älä")
    doveadm("unsubscribe", "Sent")
    assert subscribed_names(path.read_bytes()) == (NAMES | {"Työ/Älä"}) - {"Sent"}
