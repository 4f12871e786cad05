"""``python -m bench.milters MAILS``: what a milter costs that says continue; prints JSON.

The milter is a process of its own, and does nothing; the filter is asked as a server asks it, one
mail after the other, in milliseconds a mail.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from bench.mails import mail
from mailplat.app.parts import check_part
from mailplat.filters.chain import Chains, Rule
from mailplat.filters.milter import MilterFilter
from mailplat.interfaces.filters import Context, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.spool.intake import MemoryBody

__all__ = ["KINDS"]

KINDS: Mapping[str, tuple[int, int]] = {
    "a milter that says continue": (0, 1),
    "the same, 20 mails a connection": (0, 20),
    "a milter that answers the end alone": (0xFF080, 1),
}
"""The steps that it does not answer, and the mails of one connection."""

_SILENT = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "L": 0x80}
_SILENT |= {"N": 0x40000, "B": 0x80000, "D": -1, "A": -1, "Q": -1}


def _serve(path: str, steps: int) -> None:
    """Be a milter, for one connection after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            wire, _ = listener.accept()
            with wire, wire.makefile("rb") as stream, suppress(OSError):
                while head := stream.read(5):
                    stream.read(int.from_bytes(head[:4], "big") - 1)
                    command = chr(head[4])
                    if command == "O":
                        numbers = b"".join(one.to_bytes(4, "big") for one in (6, 0, steps))
                        wire.sendall(b"\0\0\0\x0dO" + numbers)
                    elif not steps & _SILENT.get(command, 0) and command not in "DAQ":
                        wire.sendall(b"\0\0\0\1c")


def _filter(reactor: Any, path: str) -> MilterFilter:
    kind: Any = check_part("filter", "milter")
    return MilterFilter("milter", f"unix:{path}", kind(), FilterSettings(reactor))


async def _one_connection(chains: Chains, about: Mail, mails: int) -> None:
    """Ask all that is asked of so many mails."""
    context = Context("s1", "smtp", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
    chain = chains.open_chain(context)
    await chain.ask(Stage.CONNECT)
    await chain.ask(Stage.HELLO, "c.example")
    context.helo = "c.example"
    for _ in range(mails):
        sender = context.sender = about.envelope.sender
        context.recipients.clear()
        await chain.ask(Stage.SENDER, sender)
        for recipient in about.envelope.recipients:
            await chain.ask(Stage.RECIPIENT, recipient)
            context.recipients.append(recipient)
        await chain.ask(Stage.MESSAGE, about)
    await chain.ask(Stage.DISCONNECT)


async def _measure(reactor: Any, count: int) -> None:
    message = mail(1, random.Random(1), size=4096)
    header, _ = headers.split(message)
    sender, recipient = (
        Sender(Address("alice", "c.example")),
        Recipient(Address("bob", "d.example")),
    )
    about = Mail("q", Envelope(sender, (recipient,)), header, MemoryBody(message))
    found: dict[str, float] = {}
    for name, (steps, mails) in KINDS.items():
        with tempfile.TemporaryDirectory(prefix="mailplat-bench-") as folder:
            path = f"{folder}/milter"
            milter = multiprocessing.Process(target=_serve, args=(path, steps), daemon=True)
            milter.start()
            while not Path(path).exists():
                time.sleep(0.01)
            one = _filter(reactor, path)
            chains = Chains([Rule(one, timeout=60)], reactor)
            best = float("inf")
            for _ in range(3):
                start, connections = time.perf_counter(), max(1, count // mails)
                for _ in range(connections):
                    await _one_connection(chains, about, mails)
                best = min(best, (time.perf_counter() - start) / (connections * mails))
            found[name] = 1000 * best
            await one.close()
            milter.kill()  # it has the reactor's way with other signals
            milter.join()
    print(json.dumps(found))


def _main(reactor: Any, words: Sequence[str]) -> Deferred[None]:
    return Deferred.fromCoroutine(_measure(reactor, int(words[0])))


if __name__ == "__main__":
    react(_main, [sys.argv[1:]])
