"""Tests for `mailplat.proto.imap.view`: a client that applies what it is told stays in step."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mailplat.model.changes import Changes, FlagsStored
from mailplat.model.flags import FLAGGED, SEEN
from mailplat.model.numset import MAX_NUMBER, NumSet
from mailplat.proto.imap.sets import SequenceSet
from mailplat.proto.imap.tokens import Tokens
from mailplat.proto.imap.view import NoSuchNumber, View

NONE: list[str] = []


def numbers(text: str) -> SequenceSet:
    """Read a set."""
    return Tokens(text.encode()).sequence_set()


def stored(modseq: int, rows: dict[int, int], refused: NumSet = NumSet()) -> FlagsStored:
    """The outcome of a STORE that changed all of these messages."""
    return FlagsStored(list(rows), list(rows.values()), [modseq] * len(rows), refused, modseq)


# numbers


@pytest.mark.parametrize(
    ("text", "uid", "found"),
    [
        ("1:*", False, [(1, 3), (2, 5), (3, 6), (4, 9)]),
        ("2,4", False, [(2, 5), (4, 9)]),
        ("*", False, [(4, 9)]),
        ("9:*", False, [(4, 9)]),
        ("4:6", True, [(2, 5), (3, 6)]),
        ("1:2,7:8", True, []),
        ("1,3,5,7,9", True, [(1, 3), (2, 5), (4, 9)]),
        ("100:*", True, [(4, 9)]),
        ("$", False, [(1, 3), (4, 9)]),
        ("$", True, [(1, 3), (4, 9)]),
    ],
)
def test_select(text: str, uid: bool, found: list[tuple[int, int]]) -> None:
    """Both columns, for sets of both kinds."""
    view = View([3, 5, 6, 9], 1, NONE)
    view.saved = NumSet.of([3, 4, 9])
    selection = view.select(numbers(text), uid=uid)
    assert list(zip(selection.numbers, selection.uids, strict=True)) == found
    assert len(selection) == len(found)
    assert view.resolve_uids(numbers(text), uid=uid).select(view.uids) == [u for _, u in found]
    block = selection.block(1, 1)
    assert list(zip(block.numbers, block.uids, strict=True)) == found[1:2]


@pytest.mark.parametrize("text", ["5", "1:5", "4294967295", "1,9"])
def test_numbers_that_are_not_there(text: str) -> None:
    """Above the number of messages is BAD (RFC 9051 §9 seq-number)."""
    with pytest.raises(NoSuchNumber):
        View([3, 5, 6, 9], 1, NONE).select(numbers(text), uid=False)


def test_an_empty_mailbox() -> None:
    """``1:*`` of nothing is nothing: clients ask."""
    view = View([], 1, NONE)
    for text in ("1:*", "*"):
        assert not len(view.select(numbers(text), uid=False))
        assert not len(view.select(numbers(text), uid=True))
    with pytest.raises(NoSuchNumber):
        view.select(numbers("1"), uid=False)
    assert not len(view.select_uids([5]))
    assert view.tell(expunge=True) == b""


def test_uids_to_numbers() -> None:
    """Those that are not there are left out."""
    view = View([3, 5, 6, 9], 1, NONE)
    for uids, found in [
        ([3, 5, 6, 9], [1, 2, 3, 4]),
        ([5, 6], [2, 3]),
        ([3, 9], [1, 4]),
        ([2, 3, 7, 9, 11], [1, 4]),
        ([1], []),
        ([11], []),
        ([], []),
    ]:
        selection = view.select_uids(uids)
        assert list(selection.numbers) == found
        assert len(selection) == len(found)
        assert list(view.numbers_of(NumSet.of(uids))) == found


# what is told, and when


def test_expunges_wait_until_they_may_be_told() -> None:
    """EXISTS and flags are told meanwhile, in the old numbering."""
    view = View([3, 5, 6, 9], 1, NONE)
    view.saved = NumSet.of([5, 6])
    view.take(Changes(4, [12], [9], [SEEN], [3], NumSet.of([5, 6])), NONE)
    assert view.acknowledged == 1
    assert view.tell(expunge=False) == b"* 5 EXISTS\r\n* 4 FETCH (FLAGS (\\Seen))\r\n"
    assert view.tell(expunge=False) == b""
    assert view.pending
    assert view.exists == 5
    assert view.tell(expunge=True) == b"* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n"
    assert list(view.uids) == [3, 9, 12]
    assert not view.saved
    assert not view.pending
    assert view.modseq == view.acknowledged == 4


def test_vanished_names_only_what_the_client_knows() -> None:
    """RFC 7162 §3.2.10.2: no UID that was never told, none that is gone already."""
    view = View([3, 5, 6, 9], 1, NONE, condstore=True, qresync=True)
    view.take(Changes(2, [12]), NONE)
    view.take(Changes(3, [], [3], [SEEN], [3], NumSet.from_ranges([(4, 6), (12, 12)])), NONE)
    assert view.tell(expunge=True) == (
        b"* VANISHED 5:6\r\n* 1 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (3))\r\n"
    )
    assert list(view.uids) == [3, 9]


def test_what_is_taken_twice_is_told_once() -> None:
    """Changes may overlap."""
    view = View([3], 1, NONE)
    changes = Changes(4, [4, 5], [], [], [], NumSet.of([3]))
    view.take(changes, NONE)
    view.take(changes, NONE)
    view.take(Changes(2, [4]), NONE)
    assert view.tell(expunge=True) == b"* 1 EXPUNGE\r\n* 2 EXISTS\r\n"
    view.take(changes, NONE)
    assert view.tell(expunge=True) == b""
    assert view.modseq == 4


def test_a_message_that_came_and_went_is_never_told() -> None:
    """Nor are its flags kept."""
    view = View([3], 1, NONE)
    view.take(Changes(2, [4], [4], [SEEN], [2]), NONE)
    view.take(Changes(3, [], [], [], [], NumSet.of([4])), NONE)
    assert view.tell(expunge=True) == b""
    view.take(Changes(4, [5]), NONE)
    assert view.tell(expunge=True) == b"* 2 EXISTS\r\n"


def test_recent() -> None:
    r"""``\Recent`` goes by UID; nothing is said of it where it is not shown."""
    view = View([3, 5], 1, NONE, recent=NumSet.span(5, 6))
    assert view.recent == 1
    assert view.flag_column([3, 5], [SEEN, SEEN]) == [b"(\\Seen)", b"(\\Seen \\Recent)"]
    view.take(Changes(2, [8, 9]), NONE)
    assert view.owes_recent
    view.claimed(NumSet.span(9, 9))  # another session heard of 8 first
    assert view.tell(expunge=False) == b"* 4 EXISTS\r\n* 2 RECENT\r\n"
    assert not view.owes_recent
    assert view.flag_column([5, 8, 9], [0, 0, 0]) == [b"(\\Recent)", b"()", b"(\\Recent)"]
    silent = View([3], 1, NONE)
    silent.take(Changes(2, [8]), NONE)
    assert silent.recent == 0
    assert not silent.owes_recent


def test_new_keywords_are_told_first() -> None:
    """FLAGS comes before a FETCH that has the new one."""
    view = View([3], 1, NONE)
    view.take(Changes(2, [], [3], [1 << 5], [2]), ["$Junk"])
    told = view.tell(expunge=False).split(b"\r\n")
    assert told[0].endswith(b"\\Draft $Junk)")
    assert told[1].startswith(b"* OK [PERMANENTFLAGS (")
    assert told[2] == b"* 1 FETCH (FLAGS ($Junk))"
    assert view.tell(expunge=False) == b""


# the session's own STORE


def test_own_store_is_told_once() -> None:
    """The answer is told, its echo is not."""
    view = View([3, 5], 1, NONE)
    told = view.stored(stored(2, {3: SEEN, 5: SEEN}), NONE, uid=False, silent=False)
    assert told == b"* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen))\r\n"
    view.take(Changes(2, [], [3, 5], [SEEN, SEEN], [2, 2]), NONE)
    assert view.tell(expunge=True) == b""
    view.take(Changes(3, [], [3], [0], [3]), NONE)
    assert view.tell(expunge=True) == b"* 1 FETCH (FLAGS ())\r\n"


def test_silent_store() -> None:
    """Nothing is told, or with CONDSTORE the MODSEQ alone (RFC 7162 §3.1.3)."""
    for condstore, expected in [(False, b""), (True, b"* 2 FETCH (UID 5 MODSEQ (2))\r\n")]:
        view = View([3, 5], 1, NONE, condstore=condstore)
        assert view.stored(stored(2, {5: SEEN}), NONE, uid=False, silent=True) == expected
        view.take(Changes(2, [], [5], [SEEN], [2]), NONE)
        assert view.tell(expunge=True) == b""


def test_silent_store_over_another_sessions_change() -> None:
    """What another session changed is told, silent or not (RFC 9051 §6.4.6)."""
    view = View([3, 5], 1, NONE)  # modseq 2 is somebody else's
    assert view.stored(stored(3, {5: SEEN | FLAGGED}), NONE, uid=True, silent=True) == b""
    view.take(Changes(3, [], [5], [SEEN | FLAGGED], [3]), NONE)
    assert view.tell(expunge=True) == b"* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\n"
    view.take(Changes(4, [], [5], [FLAGGED], [4]), NONE)  # waits when the STORE comes
    assert view.stored(stored(5, {5: SEEN | FLAGGED}), NONE, uid=True, silent=True) == b""
    view.take(Changes(5, [], [5], [SEEN | FLAGGED], [5]), NONE)
    assert view.tell(expunge=True) == b"* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\n"


def test_silent_store_while_other_mailboxes_change() -> None:
    """A MODSEQ far ahead is no sign of a change here, if the store says so."""
    view = View([3, 5], 1, NONE)
    result = FlagsStored([5], [SEEN], [40], NumSet(), 40, previous=1)
    assert view.stored(result, NONE, uid=True, silent=True) == b""
    view.take(Changes(40, [], [5], [SEEN], [40]), NONE)
    assert view.tell(expunge=True) == b""


def test_store_of_what_was_expunged_elsewhere() -> None:
    """UID STORE tells only of what the client knows."""
    view = View([3, 5], 1, NONE, qresync=True, condstore=True)
    told = view.stored(stored(2, {5: SEEN, 7: SEEN}), NONE, uid=True, silent=False)
    assert told == b"* 2 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (2))\r\n"


# many sessions


@dataclass
class Client:
    """A client that believes what it is told, and nothing else."""

    view: View
    uids: list[int | None]
    flags: dict[int, int] = field(default_factory=dict)

    def hear(self, told: bytes, *, expunge: bool) -> None:
        """Apply untagged responses; each must make sense."""
        for line in told.split(b"\r\n")[:-1]:
            match = re.fullmatch(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE)", line)
            if match and match[2] == b"EXISTS":
                assert int(match[1]) > len(self.uids)
                self.uids += [None] * (int(match[1]) - len(self.uids))
            elif match and match[2] == b"EXPUNGE":
                assert expunge
                assert not self.view.qresync
                del self.uids[int(match[1]) - 1]
            elif line.startswith(b"* VANISHED "):
                assert expunge
                for uid in Tokens(line[11:]).known_set():
                    self.uids.remove(uid)  # fails if it is not there
            elif line.startswith((b"* FLAGS ", b"* OK [PERMANENTFLAGS ")):
                pass
            elif b" FETCH (" in line:
                self._fetched(line)
            else:
                assert match, line

    def _fetched(self, line: bytes) -> None:
        match = re.fullmatch(
            rb"\* (\d+) FETCH \((?:UID (\d+) ?)?(?:FLAGS \(([^)]*)\))? ?(?:MODSEQ \(\d+\))?\)", line
        )
        assert match, line
        believed = self.uids[int(match[1]) - 1]
        if match[2]:
            assert believed in {None, int(match[2])}
            self.uids[int(match[1]) - 1] = believed = int(match[2])
        if match[3] is not None and believed is not None:
            seen = SEEN if b"\\Seen" in match[3] else 0
            self.flags[believed] = seen | (FLAGGED if b"\\Flagged" in match[3] else 0)

    def fetch_all(self) -> None:
        """``FETCH 1:* UID``, as the session would answer it."""
        selection = self.view.select(SequenceSet(star=1), uid=False)
        for number, uid in zip(selection.numbers, selection.uids, strict=True):
            assert self.uids[number - 1] in {None, uid}
            self.uids[number - 1] = uid


class ManySessions(RuleBasedStateMachine):
    """One mailbox, three sessions that hear of it at different times."""

    @initialize(count=st.integers(0, 6))
    def begin(self, count: int) -> None:
        """Open the mailbox three times."""
        self.modseq = 1
        self.next_uid = 1
        self.messages: dict[int, tuple[int, int]] = {}
        self.arrived: dict[int, int] = {}
        self.vanished: list[tuple[int, int]] = []
        for _ in range(count):
            self.append()
        self.clients = []
        for kind in range(3):
            uids = list(self.messages)
            view = View(
                uids,
                self.modseq,
                NONE,
                recent=NumSet.span(2, MAX_NUMBER) if kind == 0 else None,
                condstore=kind == 2,
                qresync=kind == 2,
            )
            flags = {uid: mask for uid, (mask, _) in self.messages.items()}
            self.clients.append(Client(view, list(uids), flags))

    @rule()
    def append(self) -> None:
        """A message comes."""
        self.modseq += 1
        self.messages[self.next_uid] = (0, self.modseq)
        self.arrived[self.next_uid] = self.modseq
        self.next_uid += 1

    @rule(places=st.sets(st.integers(0, 30), min_size=1))
    def expunge(self, places: set[int]) -> None:
        """Messages go."""
        gone = [uid for at, uid in enumerate(self.messages) if at in places]
        if not gone:
            return
        self.modseq += 1
        for uid in gone:
            del self.messages[uid]
            self.vanished.append((uid, self.modseq))

    @rule(
        who=st.integers(0, 2),
        places=st.sets(st.integers(0, 30), min_size=1),
        flag=st.sampled_from([SEEN, FLAGGED]),
        uid=st.booleans(),
        silent=st.booleans(),
        fresh=st.booleans(),
        elsewhere=st.integers(0, 2),
    )
    def store(
        self,
        who: int,
        places: set[int],
        flag: int,
        uid: bool,
        silent: bool,
        fresh: bool,
        elsewhere: int,
    ) -> None:
        """A session turns a flag round, as its client sees the mailbox.

        ``elsewhere``: how much else happened to the home, in other mailboxes.
        """
        client = self.clients[who]
        if fresh:
            self.hear(who, uid)
        uids = [one for at, one in enumerate(client.view.uids) if at in places]
        previous = self.modseq
        self.modseq += elsewhere
        there = [one for one in uids if one in self.messages]
        on = bool(there) and not self.messages[there[0]][0] & flag
        self.modseq += 1
        changed = False
        for one in there:
            mask, _ = self.messages[one]
            new = mask | flag if on else mask & ~flag
            if new != mask:
                self.messages[one] = (new, self.modseq)
                changed = True
        if not changed:
            self.modseq -= 1
        result = FlagsStored(
            there,
            [self.messages[one][0] for one in there],
            [self.messages[one][1] for one in there],
            NumSet(),
            self.modseq if changed else 0,
            previous if elsewhere else None,
        )
        if silent:  # the client works it out for itself
            for one in uids:
                if one in client.flags:
                    mask = client.flags[one]
                    client.flags[one] = mask | flag if on else mask & ~flag
        client.hear(client.view.stored(result, NONE, uid=uid, silent=silent), expunge=False)

    @rule(who=st.integers(0, 2), expunge=st.booleans())
    def hear(self, who: int, expunge: bool) -> None:
        """A session asks what is new, and tells its client what it may."""
        client = self.clients[who]
        client.view.take(self.changes_since(client.view.modseq), NONE)
        client.hear(client.view.tell(expunge=expunge), expunge=expunge)

    def changes_since(self, modseq: int) -> Changes:
        """What a store would say."""
        added = [uid for uid in self.messages if self.arrived[uid] > modseq]
        changed = [
            uid
            for uid, (_, since) in self.messages.items()
            if since > modseq and self.arrived[uid] <= modseq
        ]
        return Changes(
            self.modseq,
            added,
            changed,
            [self.messages[uid][0] for uid in changed],
            [self.messages[uid][1] for uid in changed],
            NumSet.of(uid for uid, since in self.vanished if since > modseq),
        )

    @rule(who=st.integers(0, 2), saved=st.sets(st.integers(1, 30)))
    def save(self, who: int, saved: set[int]) -> None:
        """SEARCH RETURN (SAVE)."""
        view = self.clients[who].view
        view.saved = NumSet.of(saved & set(view.uids))

    @invariant()
    def in_step(self) -> None:
        """Client and server mean the same message by the same number."""
        for client in getattr(self, "clients", []):
            client.fetch_all()
            assert client.uids == list(client.view.uids)
            assert set(client.view.saved) <= set(client.view.uids)
            assert client.view.acknowledged <= client.view.modseq

    def teardown(self) -> None:
        """Once all is told, every client knows all: the messages and their flags."""
        for who, client in enumerate(getattr(self, "clients", [])):
            self.hear(who, expunge=True)
            client.fetch_all()
            assert client.uids == list(self.messages)
            for uid, (mask, _) in self.messages.items():
                assert client.flags.get(uid, 0) == mask or uid not in client.flags
            assert client.view.acknowledged == self.modseq
            assert not client.view._own
            assert not client.view._changed


ManySessions.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestManySessions = ManySessions.TestCase
