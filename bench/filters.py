"""What filters cost a message, beside its delivery; and whom a slow scanner holds up.

The chain alone is timed in this process, with all of its stages for one mail a connection; delivery
is timed on a server, and what a mail takes there is the time between two of them.
"""

from __future__ import annotations

import json
import os
import random
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.server import DOMAIN, serving
from mailplat.app.parts import make_filter
from mailplat.filters.chain import Chains, Rule
from mailplat.interfaces.filters import Context, Mail, Stage
from mailplat.interfaces.plugins import FilterSettings
from mailplat.message import headers
from mailplat.model.account import Account
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Recipient, Sender
from mailplat.model.peer import Peer
from mailplat.spool.intake import MemoryBody
from mailplat.testing.fakes import KnownNames
from mailplat.testing.twistd import Installation, TwistdServer

__all__ = ["measure"]

_AT_ONCE = 200
"""Mails that are with the slow scanner at a time."""

_SCAN = 0.5
"""Seconds that it takes."""

_SCANNER = f"""
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.plugin import IPlugin
from zope.interface import implementer

from mailplat.interfaces.filters import IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import IFilterPlugin
from mailplat.model.verdict import CONTINUE


@implementer(IStages)
class Scanning(Stages):
    async def message(self, context, mail):
        if context.sender.address.local == "slow":
            await deferLater(reactor, {_SCAN})
        return CONTINUE


@implementer(IFilter)
class Scanner:
    name = "slow"
    stages = (Stage.MESSAGE,)

    def open(self):
        return Scanning()


@implementer(IPlugin, IFilterPlugin)
class ScannerPlugin:
    prefix = "slow"

    def filter(self, name, argument, settings):
        return Scanner()


slow = ScannerPlugin()
"""


def measure(options: Options) -> Iterator[Table]:
    """Time the chain beside delivery, and a scanner beside none."""
    with serving(options, "sql") as server:
        delivery = 1000 / _deliver(server, max(options.mails // 2, 50))
    yield Table(
        "What filters cost a message, beside its delivery",
        options.command("filters"),
        [
            Figure(name, "ms", _chain(filters, options), delivery, wanted)
            for name, filters, wanted in _chains()
        ],
        note="4 KB; the DNS answers at once. The peer's column is a whole delivery by SMTP into "
        "the store sql, one of 16 connections; the ratio is the filter's share.",
    )
    yield Table(
        "What a milter costs a message that has nothing against it, beside its delivery",
        options.command("filters"),
        [Figure(name, "ms", took, delivery) for name, took in _milters(options).items()],
        note="4 KB with all that a milter can be told, one question after the other; the milter is "
        "a process that does nothing. The time is mostly waiting: other mails go on meanwhile.",
    )
    with _scanning(options) as server:
        alone = _deliver(server, max(options.mails // 2, 50))
        seconds, beside = _with_scanner(server, max(options.mails // 2, 50))
    yield Table(
        f"{_AT_ONCE} mails with a scanner that takes {1000 * _SCAN:g} ms",
        options.command("filters"),
        [
            Figure(f"all {_AT_ONCE} taken", "s", seconds),
            Figure("others meanwhile, beside others alone", "/s", beside, alone, 0.5),
        ],
        note="The clients are processes and threads of the same machine, and take their share.",
    )


# the chain alone


def _chains() -> list[tuple[str, list[Rule], float | None]]:
    found: list[tuple[str, list[Rule], float | None]] = [("an empty chain", [], 0.03)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "key.pem").write_bytes(_pem())
        settings = FilterSettings(
            _Here(), f"mx.{DOMAIN}", folder, KnownNames(txt={}, hosts={}, ptr={})
        )
        for use in (
            "senders:bad@example.org,example.net",
            "authentication:",
            f"dkim_sign:{DOMAIN}:s:key.pem",
            f"arc_seal:{DOMAIN}:s:key.pem",
        ):
            filters = [Rule(make_filter(use, settings))]
            if use.startswith("arc_seal"):
                filters.insert(0, Rule(make_filter("authentication:", settings)))
            name = use.partition(":")[0]
            found.append((name if len(filters) == 1 else f"authentication, {name}", filters, None))
    return found


def _pem() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class _Here(Clock):
    """A reactor whose threads are this one."""

    def getThreadPool(self) -> Any:
        """Give the threads."""
        return self

    def callInThreadWithCallback(self, done: Any, work: Any, *args: Any) -> None:
        """Do it at once."""
        done(True, work(*args))

    def callFromThread(self, work: Any, *args: Any) -> None:
        """Do it at once."""
        work(*args)


def _chain(rules: Sequence[Rule], options: Options) -> float:
    """Give the milliseconds that one mail's questions take, the best of some rounds."""
    chains = Chains(rules, _Here())
    message = mail(1, random.Random(1), size=4096)
    header, _ = headers.split(message)
    signing = any(one.filter.name == "dkim_sign" for one in rules)
    account = Account(f"alice@{DOMAIN}") if signing else None

    async def whole() -> None:
        context = Context("s1", "smtp", Peer("192.0.2.1", 4000, "192.0.2.2", 25))
        chain = chains.open_chain(context)
        await chain.ask(Stage.CONNECT)
        await chain.ask(Stage.HELLO, "c.example")
        context.helo, context.account = "c.example", account
        sender = context.sender = Sender(Address("alice", DOMAIN))
        await chain.ask(Stage.SENDER, sender)
        recipient = Recipient(Address("bob", DOMAIN))
        await chain.ask(Stage.RECIPIENT, recipient)
        context.recipients.append(recipient)
        await chain.ask(Stage.HEADERS, header)
        envelope = Envelope(sender, (recipient,))
        await chain.ask(Stage.MESSAGE, Mail("q", envelope, header, MemoryBody(message)))
        await chain.ask(Stage.DISCONNECT)

    best, count = float("inf"), 50 if options.small else 500
    for _ in range(max(options.rounds, 3)):
        start = time.perf_counter()
        for _ in range(count):
            done = Deferred.fromCoroutine(whole())
            assert done.called
        best = min(best, (time.perf_counter() - start) / count)
    return 1000 * best


def _milters(options: Options) -> dict[str, float]:
    """Give the milliseconds of a mail, for each kind of milter."""
    words = [sys.executable, "-m", "bench.milters", "40" if options.small else "400"]
    done = subprocess.run(words, check=True, capture_output=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout)
    return found


# a server


@contextmanager
def _scanning(options: Options) -> Iterator[TwistdServer]:
    """Run a server with the slow scanner."""
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-", dir=options.directory) as folder:
        plugins = Path(folder) / "mailplat" / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "slow_scanner.py").write_text(_SCANNER)
        installation = Installation.make(
            Path(folder),
            "sql:sqlite:///mail.db",
            users=4,
            options={"[filter]": 'use = "slow:"', "smtp": "max_messages = 1000000"},
        )
        server = TwistdServer(installation)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, before]))
        try:
            server.start()
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before
        try:
            yield server
            server.stop(seconds=60)
        finally:
            server.end()


def _deliver(server: TwistdServer, count: int) -> float:
    """Give the mails a second that are answered 250."""
    words = [sys.executable, "-m", "bench.source", "127.0.0.1"]
    words += [str(server.installation.port("smtp")), "--sessions", "16", "--keep"]
    words += ["--messages", str(count), "--size", "4096", server.installation.users[0]]
    start = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True, timeout=600)
    return count / (time.perf_counter() - start)


def _with_scanner(server: TwistdServer, count: int) -> tuple[float, float]:
    """Keep the scanner busy while others send.

    Returns:
        Seconds until its first mails were all taken, and the others' mails a second.
    """
    message = mail(2, random.Random(2), size=4096)
    ready, took = threading.Barrier(_AT_ONCE + 1), [0.0] * _AT_ONCE
    over = threading.Event()

    def one(number: int) -> None:
        port = server.installation.port("smtp")
        with smtplib.SMTP("127.0.0.1", port, "bench.example", timeout=60) as client:
            client.ehlo()
            ready.wait()
            start = time.perf_counter()
            client.sendmail("slow@elsewhere.example", [server.installation.users[1]], message)
            took[number] = time.perf_counter() - start
            while not over.is_set():
                client.sendmail("slow@elsewhere.example", [server.installation.users[1]], message)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    ready.wait()
    rate = _deliver(server, count)
    over.set()
    for thread in threads:
        thread.join()
    return max(took), rate
