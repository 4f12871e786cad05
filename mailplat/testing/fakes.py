"""Stand-ins for parts of a server, for tests: simple, complete, and in step with the contracts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from zope.interface import implementer

from mailplat.interfaces.accounts import IAccounts
from mailplat.interfaces.resolver import MX, TLSA, Answer, IResolver
from mailplat.model.account import Account
from mailplat.model.errors import AuthenticationFailed, Unavailable

__all__ = ["KnownAccounts", "KnownNames"]


@implementer(IAccounts)
class KnownAccounts:
    """Accounts with their passwords in clear, answered at once.

    Args:
        passwords: Each account's password, by its name (``alice@example.org``); the part before
            the ``@`` logs in too.
    """

    def __init__(self, passwords: Mapping[str, str]) -> None:
        self._passwords = dict(passwords)
        self._accounts = {name: Account(name, (name,)) for name in passwords}

    def change(self, account: Account) -> None:
        """Exchange what is said of the account of that name; its password stays."""
        self._accounts[account.name] = account

    async def open(self) -> None:
        """See `IAccounts.open`."""

    async def close(self) -> None:
        """See `IAccounts.close`."""

    async def check_password(self, name: str, password: str) -> Account:
        """See `IAccounts.check_password`."""
        account = await self.find_account(name)
        if account is None or self._passwords[account.name] != password:
            raise AuthenticationFailed(f"wrong name or password of {name}")
        return account

    async def find_account(self, name: str) -> Account | None:
        """See `IAccounts.find_account`."""
        name = name.lower()
        return self._accounts.get(name) or next(
            (one for one in self._accounts.values() if one.name.partition("@")[0] == name), None
        )

    async def find_address(self, address: str) -> Account | None:
        """See `IAccounts.find_address`."""
        return self._accounts.get(address.lower())

    async def list_accounts(self) -> Sequence[Account]:
        """See `IAccounts.list_accounts`."""
        return [self._accounts[name] for name in sorted(self._accounts)]


R = TypeVar("R")


@implementer(IResolver)
class KnownNames:
    """DNS with a few names in it, answered at once; every other name does not exist.

    Args:
        mx: Exchangers by domain, as preference and host; ``(0, "")`` is the null MX.
        hosts: Addresses by host name.
        txt: Texts by name.
        tlsa: TLSA records by name.
        aliases: The name that another one is an alias of; only `cname` tells.
        ptr: Names by address.
        broken: Names that no server answers for.
        authentic: Whether all answers are vouched for, or the names whose answers are.

    Attributes:
        asked: What was asked, in order: ``mx example.org``.
    """

    def __init__(
        self,
        *,
        mx: Mapping[str, Iterable[tuple[int, str]]] | None = None,
        hosts: Mapping[str, Iterable[str]] | None = None,
        txt: Mapping[str, Iterable[bytes]] | None = None,
        tlsa: Mapping[str, Iterable[TLSA]] | None = None,
        aliases: Mapping[str, str] | None = None,
        ptr: Mapping[str, Iterable[str]] | None = None,
        broken: Iterable[str] = (),
        authentic: bool | Iterable[str] = False,
    ) -> None:
        self.asked: list[str] = []
        self._mx = {
            name: tuple(MX(preference, host) for preference, host in pairs)
            for name, pairs in (mx or {}).items()
        }
        self._hosts = {name: tuple(found) for name, found in (hosts or {}).items()}
        self._txt = {name: tuple(found) for name, found in (txt or {}).items()}
        self._tlsa = {name: tuple(found) for name, found in (tlsa or {}).items()}
        self._ptr = {name: tuple(found) for name, found in (ptr or {}).items()}
        self._broken = frozenset(broken)
        self._aliases = {name: (of,) for name, of in (aliases or {}).items()}
        self._authentic = authentic if isinstance(authentic, bool) else frozenset(authentic)
        self._names = {
            *self._mx,
            *self._hosts,
            *self._txt,
            *self._tlsa,
            *self._ptr,
            *self._aliases,
        }

    async def mx(self, domain: str) -> Answer[MX]:
        """See `IResolver.mx`."""
        return self._find("mx", domain, self._mx)

    async def addresses(self, host: str) -> Answer[str]:
        """See `IResolver.addresses`."""
        return self._find("addresses", host, self._hosts)

    async def a(self, host: str) -> Answer[str]:
        """See `IResolver.a`."""
        return self._find("a", host, self._of_version(4))

    async def aaaa(self, host: str) -> Answer[str]:
        """See `IResolver.aaaa`."""
        return self._find("aaaa", host, self._of_version(6))

    async def txt(self, name: str) -> Answer[bytes]:
        """See `IResolver.txt`."""
        return self._find("txt", name, self._txt)

    async def tlsa(self, name: str) -> Answer[TLSA]:
        """See `IResolver.tlsa`."""
        return self._find("tlsa", name, self._tlsa)

    async def cname(self, name: str) -> Answer[str]:
        """See `IResolver.cname`."""
        return self._find("cname", name, self._aliases)

    async def ptr(self, address: str) -> Answer[str]:
        """See `IResolver.ptr`."""
        return self._find("ptr", address, self._ptr)

    def _of_version(self, version: int) -> dict[str, tuple[str, ...]]:
        return {
            name: tuple(one for one in found if (":" in one) == (version == 6))
            for name, found in self._hosts.items()
        }

    def _find(self, kind: str, name: str, among: Mapping[str, tuple[R, ...]]) -> Answer[R]:
        name = name.lower().removesuffix(".")
        self.asked.append(f"{kind} {name}")
        if name in self._broken:
            raise Unavailable(f"no name server answers for {name}")
        vouched = self._authentic
        authentic = vouched if isinstance(vouched, bool) else name in vouched
        return Answer(among.get(name, ()), name in self._names, authentic, name, 300.0)
