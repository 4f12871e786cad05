"""The capability list, before log-in and after, and what a new account begins with."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from mailplat.config.options import STANDARD_FOLDERS
from mailplat.config.sections.mail import FolderUse

BEFORE = "IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE LITERAL+ STARTTLS"

AFTER = """
    IMAP4rev1 IMAP4rev2 SASL-IR ID ENABLE IDLE LITERAL+ NAMESPACE CHILDREN UIDPLUS MOVE UNSELECT
    SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE ESEARCH SEARCHRES WITHIN
    CONDSTORE QRESYNC MULTIAPPEND UTF8=ACCEPT BINARY PREVIEW SAVEDATE OBJECTID QUOTA
    QUOTA=RES-STORAGE QUOTA=RES-MESSAGE PARTIAL REPLACE SORT SORT=DISPLAY ESORT
    THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS XLIST APPENDLIMIT=52428800
    COMPRESS=DEFLATE UNAUTHENTICATE
"""


@pytest_twisted.ensureDeferred
async def test_the_list(server: Any) -> None:
    """Before log-in what can be done then, and after it everything, each once."""
    wire, send = server.connect()
    send(b"a CAPABILITY\r\n")
    before = wire.take().decode().split("\r\n")[0].split()[2:]
    assert {name for name in before if not name.startswith("AUTH=")} == set(BEFORE.split())
    assert any(name.startswith("AUTH=") for name in before)
    send(b"b LOGIN alice secret\r\n")
    told = wire.take().decode()
    after = told.partition("[CAPABILITY ")[2].partition("]")[0].split()
    assert set(after) == set(AFTER.split())
    send(b"c CAPABILITY\r\n")
    assert wire.take().decode().split("\r\n")[0].split()[2:] == after
    for some in (before, after):
        assert len(some) == len(set(some))


def test_standard_folders() -> None:
    """Drafts, Sent, Junk, Trash and Archive are there from the first day."""
    uses = {folder.name: folder.special_use for folder in STANDARD_FOLDERS}
    assert uses == {
        "Drafts": FolderUse.DRAFTS,
        "Sent": FolderUse.SENT,
        "Junk": FolderUse.JUNK,
        "Trash": FolderUse.TRASH,
        "Archive": FolderUse.ARCHIVE,
    }
