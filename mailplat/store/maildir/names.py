"""Which directory holds which account and which mailbox (Maildir++).

``maildir:/var/mail`` keeps the account ``alice@example.org`` in ``/var/mail/alice@example.org/``:
that directory is the Maildir of its INBOX (``cur``, ``new``, ``tmp``), and every other mailbox is
a directory beside those three: ``.Sent`` is ``Sent``, ``.Lists.Python`` is ``Lists/Python``.  That
is where Courier and Dovecot (with ``maildir:/var/mail/%u``) look.

A level is written in modified UTF-7 (RFC 3501 §5.1.3), as both programs write it.  A dot inside a
level would be read as a separator, so it is written as the character it is, encoded: ``a.b`` is
``.a&AC4-b``.  Courier reads it so; Dovecot 2.3 lists it by that spelling and cannot open it, as it
cannot have such a name at all.

Invariants: a directory's name begins with a dot and has no slash, so nothing ever leaves the home;
`folder_directory` and `directory_folder` undo each other.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from mailplat.model.account import is_account_name
from mailplat.model.errors import Cannot
from mailplat.model.mailbox import INBOX, SEPARATOR, normal_name

__all__ = [
    "MAX_FILE_NAME",
    "NAME_FILE",
    "account_directory",
    "directory_account",
    "directory_folder",
    "encoded_levels",
    "folder_directory",
    "foreign_folder",
    "is_shortened",
]

MAX_FILE_NAME = 255
"""Bytes of a file name on every usual file system."""

NAME_FILE = "mailplat-name"
"""In a mailbox's directory: its name in UTF-8, where the directory's own cannot tell it."""

_LEVEL = "."
_SHORTENED = ".mailplat-long-name-"
_ESCAPED = re.compile(r"&|(?:[^ -~]|\.)+")
_SHIFTED = re.compile(r"&([A-Za-z0-9+,]*)-|(&)")


def account_directory(account: str) -> str:
    """Name the directory of an account below the store's root.

    A leading dot is written ``%2E`` and a percent sign ``%25``, for the root keeps directories
    of its own that begin with a dot.

    Raises:
        Cannot: No account may have that name, or no file system would take it.
    """
    if not is_account_name(account):
        raise Cannot(f"no account can be called {account!r}")
    directory = account.replace("%", "%25")
    if directory.startswith("."):
        directory = "%2E" + directory[1:]
    try:
        if len(directory.encode()) > MAX_FILE_NAME:
            raise Cannot(f"the account name {account!r} is too long for a directory")
    except UnicodeEncodeError:
        raise Cannot(f"the account name {account!r} is no text") from None
    return directory


def directory_account(directory: str) -> str | None:
    """Tell whose directory that is; None if it is nobody's."""
    account = directory.replace("%2E", ".").replace("%25", "%")
    try:
        return account if account_directory(account) == directory else None
    except Cannot:
        return None


def folder_directory(name: str) -> str:
    """Name the directory of a mailbox below its account's; ``""`` for INBOX.

    Args:
        name: As `model.mailbox.normal_name` gives it.

    A name that is too long for a file system becomes one that can only be recognised; the
    directory has the name itself in the file `NAME_FILE`.
    """
    if name == INBOX:
        return ""
    directory = "".join(_LEVEL + level for level in encoded_levels(name))
    if len(directory) > MAX_FILE_NAME:
        return _SHORTENED + sha256(name.encode()).hexdigest()
    return directory


def encoded_levels(name: str) -> list[str]:
    """Spell each level of a mailbox's name as programs that share Maildirs do."""
    return [_ESCAPED.sub(_encoded, level) for level in name.split(SEPARATOR)]


def is_shortened(directory: str) -> bool:
    """Whether a mailbox's directory stands for a name that was too long."""
    return directory.startswith(_SHORTENED)


def directory_folder(directory: str) -> str | None:
    """Name the mailbox that a directory holds; None if no mailbox is ever kept there."""
    if not directory.startswith(_LEVEL):
        return None
    try:
        levels = [_decoded(level) for level in directory[1:].split(_LEVEL)]
        name = normal_name(SEPARATOR.join(levels))
        return name if folder_directory(name) == directory else None
    except (Cannot, ValueError):
        return None


def foreign_folder(directory: str) -> str | None:
    """Name the mailbox that a directory holds whose name another program spelled differently.

    Such as in UTF-8 (Dovecot's ``maildir:...:UTF-8``), or in Unicode that is not composed.
    """
    levels = []
    for level in directory[1:].split(_LEVEL):
        try:
            levels.append(_decoded(level))
        except ValueError:
            levels.append(level)
    try:
        return normal_name(SEPARATOR.join(levels)) if directory.startswith(_LEVEL) else None
    except Cannot:
        return None


def _encoded(match: re.Match[str]) -> str:
    run = match[0]
    if run == "&":
        return "&-"
    packed = b64encode(run.encode("utf-16-be")).decode("ascii")
    return "&" + packed.rstrip("=").replace("/", ",") + "-"


def _decoded(level: str) -> str:
    """Undo `_encoded`.

    Raises:
        ValueError: It is no modified UTF-7.
    """
    return _SHIFTED.sub(_plain, level)


def _plain(match: re.Match[str]) -> str:
    if match[2]:
        raise ValueError("a shift without an end")
    packed = match[1].replace(",", "/")
    if not packed:
        return "&"
    try:
        return b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-16-be")
    except Base64Error as error:
        raise ValueError("a shift that is no base64") from error
