"""The first SELECT after another program put mail into a Maildir."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.clients import IMAPClient, closing
from bench.figures import Figure, Table
from bench.mails import mails
from bench.options import Login, Options
from bench.server import login, serving

__all__ = ["measure"]


def measure(options: Options) -> Iterator[Table]:
    """Fill INBOX's folder by hand and open it, on our Maildir store and on the peer."""
    if "maildir" not in options.stores:
        return
    with serving(options, "maildir") as server:
        there = login(server, "imap", 1)
        client = IMAPClient(there)  # the first log-in makes the folders
        with closing(client):
            client.exists("INBOX")
        found = server.installation.data.glob(f"mail/**/{there.user}/**/cur")
        folder = min(found, key=lambda path: len(path.parts)).parent
        ours = _first_select(there, folder, options)
    peer = None
    if options.peer_imap is not None and options.peer_maildir is not None:
        peer = _first_select(options.peer_imap, options.peer_maildir, options)
    yield Table(
        f"First SELECT after another program brought {options.messages:,} mails",
        options.command("arrival"),
        [Figure("SELECT, then FETCH 1:* (FLAGS)", "ms", ours, peer, 0.5)],
        note="The folders of Maildirs are filled by hand while the servers run.",
    )


def _first_select(there: Login, folder: Path, options: Options) -> float:
    """Give the milliseconds of the first look at a folder that was filled."""
    owner = folder.stat()
    box = folder / ".arrival"
    client = IMAPClient(there)
    with closing(client):
        if client.exists("arrival") is not None:
            client.command("DELETE arrival")
        client.command("CREATE arrival")
        client.command("SELECT arrival")
        client.command("CLOSE")
        if not (box / "cur").is_dir():
            raise RuntimeError(f"the server does not keep the mailbox arrival in {box}")
        for number, message in enumerate(mails(options.messages)):
            path = box / "cur" / f"{1_500_000_000 + number}.M{number}P1.bench:2,S"
            path.write_bytes(message)
            os.chown(path, owner.st_uid, owner.st_gid)
        seconds = client.command("SELECT arrival").seconds
        answer = client.command("FETCH 1:* (FLAGS)")
        if answer.data.count(b" FETCH (") != options.messages:
            raise RuntimeError("not all mails were noticed")
        client.command("CLOSE")
        client.command("DELETE arrival")
        shutil.rmtree(box, ignore_errors=True)
    return 1000 * (seconds + answer.seconds)
