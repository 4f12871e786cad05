"""A name server on this machine that says what a test wants: a resolver that validates, as seen.

It follows its own aliases and sets the AD bit where every name on the way is signed; questions that
it is to fail for get SERVFAIL, which is how a validating server tells a signature that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns

from mailplat.interfaces.resolver import TLSA
from mailplat.net.resolver import Resolver, ResolverOptions, system_resolver

__all__ = ["NameServer"]

_TLSA = 52
_TTL = 300


class NameServer(DatagramProtocol):
    """Answers by UDP on 127.0.0.1.

    Attributes:
        signed: Names whose answers are vouched for.
        broken: Questions that get SERVFAIL: ``TLSA _25._tcp.mx.example``.
        silent: Whether nothing is answered at all.
        asked: All questions, in order.
    """

    def __init__(self) -> None:
        self.signed: set[str] = set()
        self.broken: set[str] = set()
        self.silent = False
        self.asked: list[str] = []
        self._records: dict[tuple[str, int], list[Any]] = {}
        self._port: Any = None

    def mx(self, domain: str, *hosts: str) -> None:
        """Give a domain exchangers, the first one first."""
        self._add(domain, *(dns.Record_MX(10 * n, one.encode()) for n, one in enumerate(hosts)))

    def a(self, host: str, *addresses: str) -> None:
        """Give a host addresses."""
        self._add(host, *(dns.Record_A(one) for one in addresses))

    def cname(self, name: str, target: str) -> None:
        """Make a name an alias."""
        self._add(name, dns.Record_CNAME(target.encode()))

    def txt(self, name: str, text: bytes) -> None:
        """Give a name a text."""
        self._add(name, dns.Record_TXT(text))

    def tlsa(self, name: str, *records: TLSA) -> None:
        """Give a name TLSA records, in place of those it had."""
        self._records[name, _TLSA] = [
            dns.UnknownRecord(bytes((one.usage, one.selector, one.matching)) + one.data)
            for one in records
        ]

    def sign(self, *names: str) -> None:
        """Vouch for all that is said of some names."""
        self.signed.update(names)

    def drop(self, names: Iterable[str]) -> None:
        """Forget what is said of some names."""
        gone = set(names)
        self._records = {key: one for key, one in self._records.items() if key[0] not in gone}

    def listen(self) -> Resolver:
        """Open a port; give a resolver that asks it, and believes it."""
        listening: Any = reactor
        self._port = listening.listenUDP(0, self, interface="127.0.0.1")
        where = ("127.0.0.1", self._port.getHost().port)
        options = ResolverOptions(
            servers=(where,), timeouts=(0.3,), failure_time=0.0, entries=0, validating=True
        )
        return system_resolver(reactor, options)

    async def stop(self) -> None:
        """Close the port."""
        if self._port is not None:
            await self._port.stopListening()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer."""
        query: Any = dns.Message()
        query.fromStr(datagram)
        asked = query.queries[0]
        name, kind = bytes(asked.name.name).decode().lower(), asked.type
        question = f"{dns.QUERY_TYPES.get(kind, 'TLSA')} {name}"
        self.asked.append(question)
        if not self.silent:
            wire: Any = self.transport
            wire.write(self._answer(query, name, kind, broken=question in self.broken), addr)

    def _answer(self, query: Any, name: str, kind: int, *, broken: bool) -> bytes:
        message = dns.Message(query.id, answer=1, recAv=1, recDes=1)
        message.queries = query.queries
        if broken:
            message.rCode = dns.ESERVER
            return bytes(message.toStr())
        way = [name]
        while kind != dns.CNAME and (alias := self._records.get((way[-1], dns.CNAME))):
            message.answers.append(_header(way[-1], dns.CNAME, alias[0]))
            way.append(bytes(alias[0].name.name).decode())
        found = self._records.get((way[-1], kind), [])
        message.answers += [_header(way[-1], kind, one) for one in found]
        message.authenticData = int(all(one in self.signed for one in way))
        known = {one for one, _ in self._records} | self.signed
        message.rCode = dns.OK if way[-1] in known else dns.ENAME
        if not found:
            soa = dns.Record_SOA(b"ns.example", b"root.example", minimum=_TTL, ttl=_TTL)
            message.authority = [_header("example", dns.SOA, soa)]
        return bytes(message.toStr())

    def _add(self, name: str, *records: Any) -> None:
        for one in records:
            self._records.setdefault((name, one.TYPE), []).append(one)


def _header(name: str, kind: int, payload: Any) -> dns.RRHeader:
    return dns.RRHeader(name.encode(), kind, dns.IN, _TTL, payload)
