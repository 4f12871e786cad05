"""A name server for domains that are not there: each has one exchanger with one address."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from twisted.names import dns

__all__ = ["naming"]


@contextmanager
def naming(hosts: Mapping[str, str]) -> Iterator[int]:
    """Answer questions about these domains; gives the UDP port on 127.0.0.1.

    Args:
        hosts: The address of the exchanger by the domain.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(wire, hosts), daemon=True)
        thread.start()
        try:
            yield wire.getsockname()[1]
        finally:
            wire.sendto(b"", wire.getsockname())
            thread.join()


def _serve(wire: socket.socket, hosts: Mapping[str, str]) -> None:
    while True:
        question, client = wire.recvfrom(4096)
        if not question:
            return
        wire.sendto(_answer(question, hosts), client)


def _answer(question: bytes, hosts: Mapping[str, str]) -> bytes:
    asked: Any = dns.Message()
    asked.fromStr(question)
    (query,) = asked.queries
    name = str(query.name).lower()
    domain = name.removeprefix("mx.")
    answer: Any = dns.Message(asked.id, answer=1, rCode=dns.OK if domain in hosts else dns.ENAME)
    answer.queries = asked.queries
    record: Any = None
    if query.type == dns.MX and name in hosts:
        record = dns.Record_MX(10, f"mx.{name}".encode(), ttl=3600)
    elif query.type == dns.A and name != domain and domain in hosts:
        record = dns.Record_A(hosts[domain], ttl=3600)
    if record is not None:
        answer.answers.append(dns.RRHeader(name.encode(), query.type, dns.IN, 3600, record))
    else:  # what is not there is remembered by this (RFC 2308 §5)
        nothing: Any = dns.Record_SOA(b"ns.example", b"root.example", minimum=3600, ttl=3600)
        answer.authority.append(dns.RRHeader(b"example", dns.SOA, dns.IN, 3600, nothing))
    return bytes(answer.toStr())
