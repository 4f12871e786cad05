"""Tests for `mailplat.store.maildir.names`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.model.errors import Cannot
from mailplat.model.mailbox import normal_name
from mailplat.store.maildir.names import (
    account_directory,
    directory_account,
    directory_folder,
    folder_directory,
    foreign_folder,
    is_shortened,
)


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("INBOX", ""),
        ("INBOX/Old", ".INBOX.Old"),
        ("Sent", ".Sent"),
        ("Lists/Python", ".Lists.Python"),
        ("Entwürfe", ".Entw&APw-rfe"),
        ("a.b", ".a&AC4-b"),
        (".hidden", ".&AC4-hidden"),
        ("ä.b", ".&AOQALg-b"),
        ("R&D", ".R&-D"),
        ("~peter/mail/台北/日本語", ".~peter.mail.&U,BTFw-.&ZeVnLIqe-"),
        ("x\\y", ".x\\y"),
        ("😀", ".&2D3eAA-"),
        ("cur", ".cur"),
    ],
)
def test_folder_directory(name: str, directory: str) -> None:
    """Names look on disk as Courier and Dovecot write them (RFC 3501 §5.1.3)."""
    assert folder_directory(name) == directory
    if directory:
        assert is_shortened(directory) or directory_folder(directory) == name


@pytest.mark.parametrize(
    "directory",
    ["", "cur", ".", "..", ".a..b", ".a.", ".&", ".&AC8-", ".&AGE-", ".Entwürfe", ".&*-", ".a&AC4",
     ".inbox.x", ".&2AA-", ".\x01", ".&AGEDCA-"],
)  # fmt: skip
def test_directories_of_no_mailbox(directory: str) -> None:
    """What `folder_directory` never gives is no mailbox's directory."""
    assert directory_folder(directory) is None


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_folder_names_stay_inside_and_come_back(text: str) -> None:
    """Whatever a mailbox is called, its directory is one level, and tells the name again."""
    try:
        name = normal_name(text)
        directory = folder_directory(name)
    except Cannot:
        return
    if name != "INBOX":
        assert "/" not in directory
        assert directory.startswith(".")
        assert directory.isascii()
        assert directory not in {".", ".."}
        assert is_shortened(directory) or directory_folder(directory) == name


def test_folder_name_too_long() -> None:
    """A name that no file system takes has a directory all the same."""
    directory = folder_directory("ü" * 120)
    assert is_shortened(directory)
    assert len(directory) < 255
    assert directory != folder_directory("ü" * 121)
    assert not is_shortened(folder_directory("ü" * 20))


def test_foreign_folder() -> None:
    """Names that other programs spelled in ways of their own."""
    assert foreign_folder(".Entwürfe.a&b") == "Entwürfe/a&b"
    assert foreign_folder(".Entwu\u0308rfe") == "Entwürfe"
    assert foreign_folder(".a..b") is None
    assert foreign_folder("Entwürfe") is None


@pytest.mark.parametrize(
    ("account", "directory"),
    [
        ("alice@example.org", "alice@example.org"),
        (".mailplat", "%2Emailplat"),
        ("50%@x", "50%25@x"),
        ("..a", "%2E.a"),
        ("%2e", "%252e"),
        ("jörg@example.org", "jörg@example.org"),
    ],
)
def test_account_directory(account: str, directory: str) -> None:
    """An account's directory is its name, but for leading dots and percent signs."""
    assert account_directory(account) == directory
    assert directory_account(directory) == account


@pytest.mark.parametrize(
    "account",
    ["", ".", "..", "a/b", "../x", "A@example.org", "a\x00", "a b", "ü" * 200, "a\ud800"],
)
def test_accounts_that_cannot_be(account: str) -> None:
    """A name that would leave the root, or that no file system takes, is refused."""
    with pytest.raises(Cannot):
        account_directory(account)


@pytest.mark.parametrize("directory", [".mailplat", "50%", "lost+Found", "a b", "%2Eb.%", ""])
def test_directories_of_no_account(directory: str) -> None:
    """What `account_directory` never gives is nobody's."""
    assert directory_account(directory) is None
