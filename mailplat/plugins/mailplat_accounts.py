"""The account backends ``file`` and ``sql``.

twistd imports every plugin module before it starts anything, so this one is light: a backend's own
module is imported when a configuration names it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.plugins import IAccountsPlugin, PasswordSettings
from mailplat.model.errors import ConfigurationFault

__all__ = ["file", "sql"]

_DEFAULT = PasswordSettings()


@implementer(IPlugin, IAccountsPlugin)
class FilePlugin:
    """``file:PATH``: a text file, a line an account (`mailplat.accounts.text`)."""

    prefix = "file"

    def accounts(
        self,
        argument: str,
        reactor: Any,
        directory: str,
        passwords: PasswordSettings = _DEFAULT,
    ) -> IAccounts:
        """Take the file's path."""
        from mailplat.accounts.file import FileAccounts

        if not argument:
            raise ConfigurationFault("found file:, expected file:PATH")
        return FileAccounts(Path(os.path.join(directory, argument)), reactor, passwords)


@implementer(IPlugin, IAccountsPlugin)
class SQLPlugin:
    """``sql:sqlite:///PATH``: an SQLite database; with a fourth slash the path is absolute."""

    prefix = "sql"

    def accounts(
        self,
        argument: str,
        reactor: Any,
        directory: str,
        passwords: PasswordSettings = _DEFAULT,
    ) -> IAccounts:
        """Take the database's URL."""
        from mailplat.accounts.sql import SQLAccounts

        path = argument.removeprefix("sqlite:///")
        if path in {argument, ""}:
            raise ConfigurationFault(f"found sql:{argument}, expected sql:sqlite:///PATH")
        return SQLAccounts(Path(os.path.join(directory, path)), reactor, passwords)


file = FilePlugin()
sql = SQLPlugin()
