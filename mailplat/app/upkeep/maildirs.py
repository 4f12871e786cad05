"""Maildir++ trees as files to be carried: read from anybody's, written for anybody.

A tree is the Maildir of INBOX with the other mailboxes in directories ``.Name.Below`` in it, as
Dovecot, Courier and mailplat's own Maildir store have it.  Keywords are letters of file names,
which ``dovecot-keywords`` explains.

A message is written with LF, as Maildirs have it, if that can be undone; else as it is.  Its name
is made of its date, its UID and the mailbox's UIDVALIDITY, so that it is written once, however
often an export is begun again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mailplat.app.upkeep.mbox import Mail
from mailplat.model.mailbox import INBOX
from mailplat.store.maildir.filename import FileName, is_as_it_is, letters_of
from mailplat.store.maildir.names import (
    NAME_FILE,
    directory_folder,
    folder_directory,
    foreign_folder,
)
from mailplat.store.maildir.uidlist import KEYWORD_LETTERS, keywords_file, read_keywords

__all__ = ["MaildirWriter", "count_files", "is_maildir", "mailboxes_in", "read_maildir"]


def is_maildir(path: Path) -> bool:
    """Whether a directory is a Maildir."""
    return (path / "cur").is_dir() or (path / "new").is_dir()


def mailboxes_in(path: Path) -> dict[str, Path]:
    """Name the mailboxes of a tree, INBOX first, each with its directory."""
    found = {INBOX: path}
    for directory in sorted(path.iterdir()):
        if directory.name.startswith(".") and is_maildir(directory):
            name = directory_folder(directory.name) or _own_name(directory)
            name = name or foreign_folder(directory.name)
            if name:
                found.setdefault(name, directory)
    return found


def _own_name(directory: Path) -> str | None:
    """A name that was too long for a directory stands in a file."""
    try:
        return (directory / NAME_FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _files(path: Path) -> list[Path]:
    found = []
    for sub in ("cur", "new"):
        if (path / sub).is_dir():
            found += [Path(entry.path) for entry in os.scandir(path / sub) if entry.is_file()]
    return sorted((one for one in found if not one.name.startswith(".")), key=lambda p: p.name)


def count_files(path: Path) -> int:
    """Count the messages of one Maildir, without those below it."""
    return len(_files(path))


def read_maildir(path: Path) -> Iterator[Mail]:
    """Read the messages of one Maildir, in the order of their names.

    Raises:
        OSError: A file cannot be read.
    """
    try:
        keywords = read_keywords((path / "dovecot-keywords").read_bytes())
    except OSError:
        keywords = {}
    for file in _files(path):
        name = FileName.parse(file.name)
        try:
            data = file.read_bytes()
            date = int(file.stat().st_mtime)
        except FileNotFoundError:
            continue  # removed, or renamed by its owner's program: another run finds it
        if b"\r\n" not in data and not is_as_it_is(name.base, len(data)):
            data = data.replace(b"\n", b"\r\n")
        yield Mail(data, name.flags(keywords), date)


class MaildirWriter:
    """Writes one mailbox.

    Args:
        root: The tree.
        mailbox: The mailbox's name.
        uid_validity: Its UIDVALIDITY.
        keywords: Its keywords; those beyond the 26th have no letter.
    """

    def __init__(
        self, root: Path, mailbox: str, uid_validity: int, keywords: Sequence[str]
    ) -> None:
        directory = folder_directory(mailbox)
        self._path = root / directory if directory else root
        for sub in ("tmp", "new", "cur"):
            (self._path / sub).mkdir(parents=True, exist_ok=True)
        if directory:
            (self._path / "maildirfolder").touch()
            if directory_folder(directory) != mailbox:
                (self._path / NAME_FILE).write_text(mailbox, "utf-8")
        self._uid_validity = uid_validity
        known = dict(zip(KEYWORD_LETTERS, keywords, strict=False))
        self._letters = {keyword.lower(): letter for letter, keyword in known.items()}
        if known:
            (self._path / "dovecot-keywords").write_bytes(keywords_file(known))
        bases = (FileName.parse(file.name).base for file in _files(self._path))
        self._there = {base.partition(",")[0] for base in bases}

    def has(self, uid: int, date: int) -> bool:
        """Whether a message is there already."""
        return self._unique(uid, date) in self._there

    def write(self, uid: int, mail: Mail) -> None:
        """Write a message.

        Raises:
            OSError: It cannot be written; nothing of it is there.
        """
        date = mail.date or 0
        plain = mail.data.replace(b"\r\n", b"\n")
        if b"\r" in plain or plain.replace(b"\n", b"\r\n") != mail.data:
            plain = mail.data
        base = f"{self._unique(uid, date)},S={len(plain)},W={len(mail.data)}"
        staged = self._path / "tmp" / base
        staged.write_bytes(plain)
        os.utime(staged, (date, date))
        name = FileName(base, letters_of(mail.flags, self._letters)).in_cur()
        staged.rename(self._path / "cur" / name)

    def _unique(self, uid: int, date: int) -> str:
        return f"{date}.V{self._uid_validity}U{uid}.mailplat"
