"""Tests for `mailplat.plugins.mailplat_accounts`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from zope.interface.verify import verifyObject

from mailplat.accounts.file import FileAccounts
from mailplat.accounts.sql import SQLAccounts
from mailplat.interfaces.plugins import IAccountsPlugin
from mailplat.model.errors import ConfigurationFault
from mailplat.plugins import mailplat_accounts


def test_provide() -> None:
    """Both are plugins for accounts."""
    verifyObject(IAccountsPlugin, mailplat_accounts.file)
    verifyObject(IAccountsPlugin, mailplat_accounts.sql)


@pytest.mark.parametrize(
    ("argument", "path"), [("a", "/here/a"), ("../a:b", "/here/../a:b"), ("/x/a", "/x/a")]
)
def test_paths(argument: str, path: str) -> None:
    """Relative paths begin in the folder that is given."""
    file = mailplat_accounts.file.accounts(argument, reactor, "/here")
    assert isinstance(file, FileAccounts)
    assert file._path == Path(path)
    sql = mailplat_accounts.sql.accounts(f"sqlite:///{argument}", reactor, "/here")
    assert isinstance(sql, SQLAccounts)
    assert sql._path == Path(path)


def test_arguments_that_cannot_be() -> None:
    """What cannot be read is refused with what was expected."""
    with pytest.raises(ConfigurationFault, match="file:PATH"):
        mailplat_accounts.file.accounts("", reactor, "/here")
    for argument in ("", "a", "sqlite:///", "postgresql://x", "sqlite://"):
        with pytest.raises(ConfigurationFault, match="sql:sqlite:///PATH"):
            mailplat_accounts.sql.accounts(argument, reactor, "/here")


def test_light() -> None:
    """Importing the plugins imports neither SQLAlchemy nor hashing libraries."""
    code = (
        "import sys, mailplat.plugins.mailplat_accounts\n"
        "print({'sqlalchemy', 'argon2', 'bcrypt', 'sqlite3'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
