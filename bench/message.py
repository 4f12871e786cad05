"""How fast mail is read, on one core, beside the standard library's parser."""

from __future__ import annotations

import email
import random
import timeit
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from mailplat.message import headers
from mailplat.message.parts import find_section
from mailplat.message.scan import Scanner, scan
from mailplat.message.summary import summarize, summary_of

__all__ = ["measure"]

T = TypeVar("T")


def _rate(do: Callable[[T], object], things: Sequence[T], rounds: int) -> float:
    def once() -> None:
        for thing in things:
            do(thing)

    return len(things) / min(timeit.repeat(once, number=1, repeat=rounds))


def _in_blocks(blocks: Sequence[bytes]) -> object:
    scanner = Scanner()
    for block in blocks:
        scanner.receive(block)
    return scanner.close()


def measure(options: Options) -> Iterator[Table]:
    """Time the scanner and the summary, and what is read from headers and part tables."""
    rng = random.Random(1)
    count = 40 if options.small else 500
    sets = {
        "4 KB, a quarter multipart": [mail(n, rng) for n in range(count)],
        "1 MB, attachment": [mail(0, rng, attached=760 * 1024) for n in range(1 + count // 60)],
        "1 MB, text": [mail(1, rng, size=1 << 20) for n in range(1 + count // 60)],
    }
    figures: list[Figure] = []
    for name, messages in sets.items():
        library = _rate(email.message_from_bytes, messages[:100], 2)
        cut = [[one[at : at + 65536] for at in range(0, len(one), 65536)] for one in messages]
        for what, rate in (
            ("scan", _rate(scan, messages, options.rounds)),
            ("scan in blocks of 64 KiB", _rate(_in_blocks, cut, options.rounds)),
            ("scan and summary", _rate(summary_of, messages, options.rounds)),
        ):
            figures.append(Figure(f"{what}, {name}", "/s", rate, library))
    small = sets["4 KB, a quarter multipart"]
    blocks = [headers.split(message)[0] for message in small]
    names = (b"FROM", b"TO", b"SUBJECT", b"DATE")
    picked = _rate(lambda header: headers.fields(header, names), blocks, options.rounds)
    figures.append(Figure("HEADER.FIELDS (FROM TO SUBJECT DATE)", "/s", picked))
    tables = [summarize(scan(message)).parts for message in small]
    found = _rate(lambda table: find_section(table, (1,)), tables, options.rounds)
    figures.append(Figure("BODY[1] in the part table", "/s", found))
    yield Table(
        "Reading a message",
        options.command("message"),
        figures,
        "email.parser",
        "The standard library's parser makes a tree of objects and no summary.",
    )
