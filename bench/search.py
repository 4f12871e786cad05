"""How long it takes to find a rare word in a mailbox, with the index of text and without."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast
from unittest.mock import patch

from bench.figures import Figure, Table
from bench.mails import mail
from bench.options import Options
from bench.store import in_reactor, new_message, open_store
from mailplat.interfaces.store import IMailbox
from mailplat.proto.imap.search_keys import BodyHas, HeaderHas, SearchKey, TextHas
from mailplat.proto.imap.view import View
from mailplat.sessions.imap.matching import Matching
from mailplat.sessions.imap.selected import Selected
from mailplat.sessions.imap.services import IMAPOptions, IMAPServices
from mailplat.store.index.search import TextIndex

__all__ = ["measure"]

_KEYS: tuple[tuple[str, SearchKey], ...] = (
    ("BODY", BodyHas("walrus")),
    ("TEXT", TextHas("walrus")),
    ("SUBJECT", HeaderHas("Subject", "walrus")),
)


def measure(options: Options) -> Iterator[Table]:
    """Fill a mailbox, let the index catch up, and search."""
    count = options.messages * 5 // 2
    yield Table(
        f"Search for a word that 5 of {count:,} mails of 4 KB have, SQL store",
        options.command("search"),
        in_reactor(_figures, options),
        "reading all",
        "The answer without the index, by reading every mail, is the baseline. The index is built "
        "without the rests that it takes in a server.",
    )


class _Services:
    """What `Matching` asks of the services."""

    options = IMAPOptions()
    now = staticmethod(time.time)


async def _figures(options: Options) -> list[Figure]:
    count = options.messages * 5 // 2
    figures = []
    with tempfile.TemporaryDirectory(dir=options.directory) as name:
        folder = Path(name)
        store = open_store(folder)
        await store.open()
        home = await store.open_home("bob")
        rng = random.Random(1)
        text = 0
        for start in range(0, count, 500):
            some = [mail(number, rng) for number in range(start, min(start + 500, count))]
            if start % (count // 5) < 500:
                some[1] = some[1].replace(b"Subject: ", b"Subject: Walrus ") + b"A walrus.\r\n"
            text += sum(map(len, some))
            await home.append("INBOX", [new_message(data) for data in some])
        begun = time.perf_counter()
        await store.catch_up()
        taken = time.perf_counter() - begun
        size = sum(path.stat().st_size for path in folder.glob("mail.db.search*"))
        figures.append(Figure("building the index", "mails/s", count / taken))
        figures.append(Figure("the index, by the mails", "bytes/byte", size / text))
        mailbox = await home.open_mailbox("INBOX")
        for what, key in _KEYS:
            found, quick = await _timed(mailbox, key, options.rounds)
            with patch.object(TextIndex, "pick", _cannot_tell):
                again, slow = await _timed(mailbox, key, 1)
            assert found == again
            assert found
            figures.append(Figure(what, "ms", 1000 * quick, 1000 * slow, 1 / 20))
        mailbox.close()
        await store.close()
    return figures


async def _timed(mailbox: IMailbox, key: SearchKey, rounds: int) -> tuple[Sequence[int], float]:
    state = await mailbox.state(False)
    view = View(state.uids, state.modseq, mailbox.keywords)
    selected = Selected(mailbox, view, read_only=True, changed=_nothing)
    matching = Matching(selected, cast(IMAPServices, _Services()))
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        found = await matching.find(key, state.uids)
        best = min(best, time.perf_counter() - begun)
    return list(found), best


async def _cannot_tell(self: TextIndex, *args: object) -> None:
    """Answer as an index that is not there."""


def _nothing() -> None:
    """Nobody is told."""
