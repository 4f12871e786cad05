"""The contract of an index of text: it may name too many messages, and never one too few."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import pytest_twisted

from mailplat.interfaces.plugins import StoreSettings
from mailplat.interfaces.search import ISearchable, ISearchIndex, Searched
from mailplat.interfaces.store import BodyRange, Column, IHome, IMailbox, IStore
from mailplat.message import headers
from mailplat.message.text import fold, search_header, search_text
from mailplat.model.numset import NumSet
from mailplat.testing.mails import mail, new_message
from mailplat.testing.store_contract.fixtures import ALL, MakeStore, StoreFixtures, add

__all__ = ["SearchContract"]

_HEAD = "From: a@example.org\r\nMIME-Version: 1.0\r\n"
_RARE = "quagmire"

MAILS: tuple[bytes, ...] = (
    b"Subject: plain\r\n\r\nThe quick brown fox.\r\n",
    f"{_HEAD}Subject: =?utf-8?q?Stra=C3=9Fe?=\r\n\r\nnothing\r\n".encode(),
    (
        f"{_HEAD}Content-Type: text/plain; charset=iso-8859-1\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=FC=\r\n=DFe\r\n"
    ).encode(),
    (
        f"{_HEAD}Content-Type: text/plain; charset=koi8-r\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode()
    + "Привет, Мир\r\n".encode("koi8-r"),
    (
        f"{_HEAD}Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n".encode()
        + "会議の資料です\r\n".encode("iso-2022-jp")
    ),
    (
        f"{_HEAD}Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
        "PGI+Y2FmJmVhY3V0ZTs8L2I+IPCfmIDwn5iB8J+Ygg==\r\n"
    ).encode(),
    (
        f"{_HEAD}Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        "--x\r\nContent-Type: text/plain\r\n\r\nfirst part\r\n"
        "--x\r\nContent-Type: application/pdf; name=Bilanz.pdf\r\n\r\nfox in pdf\r\n--x--\r\n"
    ).encode(),
    b"Subject: nul\r\n\r\nbefore\0behind the nul\r\n",
    f"{_HEAD}Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA- lone half\r\n".encode(),
    b'Subject: "quoted" \'words\' AND OR NOT *\r\n\r\na"b"c\\d%e_f(g)\r\n',
    b"Subject: folded\r\n\tover lines\r\n\r\n\r\n",
    b"",
    b"no header at all",
)
"""Text that is hard to find."""

NEEDLES = (
    "fox",
    "ick br",
    "strasse",
    "STRASSE",
    "SCHÖNE GRÜSSE",
    "grüße",
    "привет, мир",
    "資料で",
    "café",
    "😀😁😂",
    "😁😂",
    "bilanz",
    "fox in pdf",
    "behind",
    "e\0behind",
    "lone half",
    '"quoted"',
    "and or not *",
    'a"b"c\\d%e_f(g)',
    "folded over",
    "folded\tover lines",
    "subject: plain",
    "no header",
    _RARE,
    "not there at all",
    "fo",
    "ß",
    "",
)


class SearchContract(StoreFixtures):
    """The contract of `ISearchable` and `ISearchIndex`."""

    @pytest_twisted.ensureDeferred
    async def test_names_every_hit(self, store: IStore, home: IHome, mailbox: IMailbox) -> None:
        """Before and after it caught up: what has the text, in any charset, is a candidate."""
        await home.append("INBOX", [new_message(data) for data in MAILS])
        await _holds(mailbox, NEEDLES)
        await _caught_up(store)
        await _holds(mailbox, NEEDLES)

    @pytest_twisted.ensureDeferred
    async def test_names_every_hit_in_anything(
        self, store: IStore, home: IHome, mailbox: IMailbox
    ) -> None:
        """Random text, and random pieces of it."""
        rng = random.Random(5)
        alphabet = "aAbBcC \n.\"'ßſİıéÉﬁ-äöÜ漢字😀\ufffe\u0301"
        texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 60))) for _ in range(30)]
        head = "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        await home.append("INBOX", [new_message((head + text).encode()) for text in texts])
        await _caught_up(store)
        needles = []
        for text in texts:
            at = rng.randint(0, len(text))
            needles.append(text[at : at + rng.randint(3, 40)])
        await _holds(mailbox, needles)

    @pytest_twisted.ensureDeferred
    async def test_leaves_away_most(self, store: IStore, home: IHome, mailbox: IMailbox) -> None:
        """Once it caught up, a rare word does not have the whole mailbox read."""
        await add(home, messages=40)
        rare = new_message(f"Subject: x\r\n\r\nA {_RARE.upper()}!\r\n".encode())
        (uid,) = (await home.append("INBOX", [rare])).uids
        await _caught_up(store)
        for where in (Searched.BODY, Searched.TEXT):
            found = await _candidates(mailbox, _RARE, where)
            assert found is not None
            assert uid in found
            assert len(found) < 10
        in_header = await _candidates(mailbox, _RARE, Searched.HEADER)
        assert in_header is not None
        assert len(in_header) < 10

    @pytest_twisted.ensureDeferred
    async def test_picks_from_what_is_asked_about(
        self, store: IStore, home: IHome, mailbox: IMailbox
    ) -> None:
        """Only messages asked about are named, ascending; those that are gone do no harm."""
        uids = await add(home, messages=10)
        await _caught_up(store)
        await mailbox.expunge(NumSet.of(uids[4:6]))
        found = await _candidates(mailbox, "message", Searched.BODY, uids[2:8])
        assert found is not None
        assert list(found) == [*uids[2:4], *uids[6:8]]
        assert not await _candidates(mailbox, "message", Searched.BODY, [])

    @pytest_twisted.ensureDeferred
    async def test_copies_and_moves(self, store: IStore, home: IHome, mailbox: IMailbox) -> None:
        """A message is found wherever it goes."""
        await home.create("Away", [])
        rare = new_message(f"Subject: x\r\n\r\n{_RARE}\r\n".encode())
        first, second = (await home.append("INBOX", [rare, rare])).uids
        await _caught_up(store)
        await mailbox.copy(NumSet.of([first]), "Away")
        await mailbox.move(NumSet.of([second]), "Away")
        away = await home.open_mailbox("Away")
        await _holds(away, [_RARE])
        await mailbox.expunge(ALL)
        await _caught_up(store)
        await _holds(away, [_RARE])
        assert await _hits(away, _RARE, Searched.BODY) == [1, 2]
        away.close()

    @pytest_twisted.ensureDeferred
    async def test_many_come_and_go(self, store: IStore, home: IHome, mailbox: IMailbox) -> None:
        """What came later is found, whatever went before it."""
        for start in (0, 100, 200):
            new = [new_message(mail(9_000_000 + start + number)) for number in range(20)]
            await home.append("INBOX", new)
            await _caught_up(store)
            uids = (await mailbox.state(False)).uids
            await mailbox.expunge(NumSet.of(uids[: len(uids) - 5]))
            await _holds(mailbox, [f"message 9000{start + 17:03}", "9000"])
        await _rebuilt(store)
        await _holds(mailbox, ["message 9000217", "9000117", "9000"])

    @pytest_twisted.ensureDeferred
    async def test_opened_again(self, make_store: MakeStore, settings: StoreSettings) -> None:
        """A store that is opened again finds what the index had, and what it had not."""
        for caught_up in (True, False):
            store = make_store(settings)
            await store.open()
            home = await store.open_home("bob@example.org")
            await home.append("INBOX", [new_message(data) for data in MAILS])
            if caught_up:
                await _caught_up(store)
            await store.close()
        store = make_store(settings)
        await store.open()
        home = await store.open_home("bob@example.org")
        mailbox = await home.open_mailbox("INBOX")
        await _holds(mailbox, NEEDLES)
        await _caught_up(store)
        await _holds(mailbox, NEEDLES)
        mailbox.close()
        await store.close()


async def _caught_up(store: IStore) -> None:
    await ISearchIndex(store).catch_up()


async def _rebuilt(store: IStore) -> None:
    await ISearchIndex(store).rebuild()


async def _candidates(
    mailbox: IMailbox, needle: str, where: Searched, uids: Sequence[int] | None = None
) -> Sequence[int] | None:
    if uids is None:
        uids = (await mailbox.state(False)).uids
    found: Sequence[int] | None = await ISearchable(mailbox).candidates(fold(needle), where, uids)
    return found


async def _hits(mailbox: IMailbox, needle: str, where: Searched) -> list[int]:
    """Read everything, and say which messages have a text."""
    rows = await mailbox.rows(ALL, [Column.PARTS, Column.SIZE])
    found = []
    for uid, parts, size in zip(rows.uids, rows[Column.PARTS], rows[Column.SIZE], strict=True):
        (body,) = await mailbox.bodies([BodyRange(uid, 0, size)])
        assert body is not None
        texts = {
            Searched.BODY: [search_text(body, parts)],
            Searched.HEADER: [search_header(headers.split(body)[0])],
        }
        texts[Searched.TEXT] = texts[Searched.BODY] + texts[Searched.HEADER]
        if any(fold(needle) in text for text in texts[where]):
            found.append(uid)
    return found


async def _holds(mailbox: IMailbox, needles: Sequence[str]) -> None:
    """Fail where a hit is no candidate."""
    for needle in needles:
        for where in Searched:
            candidates = await _candidates(mailbox, needle, where)
            if candidates is None:
                continue
            assert list(candidates) == sorted(set(candidates))
            missed = set(await _hits(mailbox, needle, where)) - set(candidates)
            if missed:
                pytest.fail(f"{needle!r} in the {where.value}: missed {sorted(missed)}")
