"""Capabilities that are switched off: for all, for an account, for a kind of client."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from mailplat.model.account import Account
from mailplat.model.mailbox import QuotaLimit
from mailplat.sessions.imap.services import IMAPOptions
from mailplat.sessions.imap.switches import ClientRule, switches, switches_of_account
from mailplat.testing.imap_server import IMAPServer
from mailplat.testing.mails import mail
from mailplat.testing.turns import turn

ALICE = Account("alice@example.org", ("alice@example.org",))

REFUSED = [
    ("APPENDLIMIT", "STATUS INBOX (APPENDLIMIT)"),
    ("BINARY", "FETCH 1 BINARY[1]"),
    ("BINARY", "FETCH 1 BINARY.SIZE[1]"),
    ("BINARY", "APPEND INBOX ~{3+}\r\nabc"),
    ("CHILDREN", 'LIST "" * RETURN (CHILDREN)'),
    ("COMPRESS=DEFLATE", "COMPRESS DEFLATE"),
    ("CONDSTORE", "SELECT INBOX (CONDSTORE)"),
    ("CONDSTORE", "FETCH 1 FLAGS (CHANGEDSINCE 1)"),
    ("CONDSTORE", "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (a)"),
    ("CONDSTORE", "SEARCH MODSEQ 1"),
    ("CONDSTORE", "STATUS INBOX (HIGHESTMODSEQ)"),
    ("CREATE-SPECIAL-USE", "CREATE x (USE (\\Junk))"),
    ("ENABLE", "ENABLE CONDSTORE"),
    ("ESEARCH", "SEARCH RETURN (COUNT) ALL"),
    ("ESORT", "SORT RETURN (COUNT) (DATE) UTF-8 ALL"),
    ("ID", "ID NIL"),
    ("IDLE", "IDLE"),
    ("LIST-EXTENDED", 'LIST (SUBSCRIBED) "" *'),
    ("LIST-STATUS", 'LIST "" * RETURN (STATUS (MESSAGES))'),
    ("LITERAL+", "SELECT {4097+}\r\n" + 4097 * "x"),
    ("MOVE", "MOVE 1 Sent"),
    ("MULTIAPPEND", "APPEND INBOX {3+}\r\nabc {3+}\r\nabc"),
    ("NAMESPACE", "NAMESPACE"),
    ("OBJECTID", "FETCH 1 EMAILID"),
    ("OBJECTID", "SEARCH EMAILID M1"),
    ("OBJECTID", "STATUS INBOX (MAILBOXID)"),
    ("PARTIAL", "SEARCH RETURN (PARTIAL 1:1) ALL"),
    ("PARTIAL", "UID FETCH 1 FLAGS (PARTIAL 1:1)"),
    ("PREVIEW", "FETCH 1 PREVIEW"),
    ("QRESYNC", "SELECT INBOX (QRESYNC (1 1))"),
    ("QUOTA", "GETQUOTAROOT INBOX"),
    ("QUOTA", 'GETQUOTA ""'),
    ("QUOTA", 'SETQUOTA "" ()'),
    ("REPLACE", "REPLACE 1 INBOX {3+}\r\nabc"),
    ("SAVEDATE", "FETCH 1 SAVEDATE"),
    ("SAVEDATE", "SEARCH SAVEDSINCE 1-Jan-2020"),
    ("SEARCHRES", "SEARCH RETURN (SAVE) ALL"),
    ("SEARCHRES", "FETCH $ FLAGS"),
    ("SEARCHRES", "SEARCH $"),
    ("SEARCHRES", "COPY $ Sent"),
    ("SORT", "SORT (DATE) UTF-8 ALL"),
    ("SORT=DISPLAY", "SORT (DISPLAYFROM) UTF-8 ALL"),
    ("SPECIAL-USE", 'LIST "" * RETURN (SPECIAL-USE)'),
    ("STATUS=SIZE", "STATUS INBOX (SIZE)"),
    ("THREAD=REFS", "THREAD REFS UTF-8 ALL"),
    ("UIDPLUS", "UID EXPUNGE 1"),
    ("UNAUTHENTICATE", "UNAUTHENTICATE"),
    ("UNSELECT", "UNSELECT"),
    ("WITHIN", "SEARCH NOT YOUNGER 5"),
    ("XLIST", 'XLIST "" *'),
]


async def _asked(server: IMAPServer, command: str) -> bytes:
    wire, send = server.log_in()
    send(b"s SELECT INBOX\r\n")
    await turn()
    send(b"q ENABLE QRESYNC\r\n")
    await turn()
    wire.take()
    send(b"t " + command.encode() + b"\r\n")
    for _ in range(4):
        await turn()
    return wire.take()


@pytest.mark.parametrize(("capability", "command"), REFUSED)
@pytest_twisted.ensureDeferred
async def test_refused(server: IMAPServer, capability: str, command: str) -> None:
    """What needs a capability that is switched off is BAD; with it, it is not."""
    await server.put(mail(1))
    assert b"t BAD " not in await _asked(server, command)
    server.accounts.change(ALICE.with_setting("imap-disabled", f"X, {capability.lower()}"))
    said = await _asked(server, command)
    assert said.startswith(b"t BAD "), said
    home = await server.store.open_home(ALICE.name)
    (status,) = (await home.status(["INBOX"])).values()
    assert status.messages <= 3  # what was appended by the first, and nothing by the second


@pytest_twisted.ensureDeferred
async def test_for_an_account(server: IMAPServer) -> None:
    """It holds from log-in on, for that account alone, and no longer than its session."""
    server.accounts.change(ALICE.with_setting("imap-disabled", "IDLE,SORT"))
    await server.play(
        """
C: a CAPABILITY
S: * CAPABILITY ... IDLE ...
S: a OK ...
C: b LOGIN alice secret
S: b OK [...] Logged in
C: c IDLE
S: c BAD IDLE is not offered here
C: d UNAUTHENTICATE
S: d OK ...
C: e LOGIN bob secret
S: e OK [... IDLE ... SORT SORT=DISPLAY ESORT ...] Logged in
C: f IDLE
S: + idling
""",
        logged_in=False,
    )
    wire, _ = server.log_in()
    connection = server.connections[-1]
    connection.dataReceived(b"c CAPABILITY\r\n")
    offered = set(wire.take().split(b"\r\n")[0].split())
    assert not {b"IDLE", b"SORT", b"SORT=DISPLAY", b"ESORT"} & offered
    assert {b"MOVE", b"THREAD=REFS"} <= offered


@pytest_twisted.ensureDeferred
async def test_what_is_told_of_its_own_accord(server: IMAPServer) -> None:
    """Response codes and attributes of what is switched off are not told either."""
    await server.put(mail(1), mail(2))
    off = "UIDPLUS,SPECIAL-USE,CONDSTORE,OBJECTID"
    server.accounts.change(ALICE.with_setting("imap-disabled", off))
    await server.play("""
C: a SELECT INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...] ...
S: * 2 EXISTS
S: * 2 RECENT
S: * OK [UNSEEN 1] ...
S: * OK [UIDVALIDITY ...] ...
S: * OK [UIDNEXT 3] ...
S: a OK [READ-WRITE] SELECT completed
C: b COPY 1 Sent
S: b OK COPY completed
C: c MOVE 1 Sent
S: * 1 EXPUNGE
S: c OK MOVE completed
C: d APPEND Sent {3+}
C: abc
S: d OK APPEND completed
C: e REPLACE 1 INBOX {3+}
C: abc
S: * 1 EXPUNGE
S: * 1 EXISTS
S: * 1 RECENT
S: e OK REPLACE completed
C: f CREATE box
S: f OK CREATE completed
C: g LIST "" Sent
S: * LIST (\\HasNoChildren) "/" Sent
S: g OK LIST completed
C: h LSUB "" Sent
S: * LSUB () "/" Sent
S: h OK LSUB completed
""")


class TestClients:
    """Kinds of clients that are not offered everything."""

    @pytest.fixture
    def options(self) -> IMAPOptions:
        """Two rules."""
        return IMAPOptions(
            auth_needs_tls=False,
            clients=(
                ClientRule("*Look*", disabled=switches(["QRESYNC"])),
                ClientRule("*look*", "1.*", switches(["CONDSTORE", "AUTH=LOGIN", "LITERAL+"])),
            ),
        )

    @pytest_twisted.ensureDeferred
    async def test_by_what_they_say(self, server: IMAPServer) -> None:
        """ID before log-in or after: what is offered changes, and is told."""
        await server.play(
            """
C: a ID ("name" "The Looker" "VERSION" "1.5")
S: * CAPABILITY IMAP4rev1 ... LITERAL- STARTTLS AUTH=PLAIN
S: * ID ("name" "mailplat")
S: a OK ID completed
C: b AUTHENTICATE LOGIN
S: b BAD AUTH=LOGIN is not offered here
C: c LOGIN alice secret
S: c OK [... WITHIN MULTIAPPEND ...] Logged in
C: d ENABLE CONDSTORE QRESYNC
S: * ENABLED
S: d OK ENABLE completed
C: e SELECT INBOX
S: * FLAGS ...
S: * OK [PERMANENTFLAGS ...] ...
S: * 0 EXISTS
S: * 0 RECENT
S: * OK [UIDVALIDITY ...] ...
S: * OK [UIDNEXT 1] ...
S: * OK [MAILBOXID ...] ...
S: e OK [READ-WRITE] ...
2C: a LOGIN alice secret
2S: a OK [... CONDSTORE QRESYNC ...] Logged in
2C: b ID ("name" "outlook" "version" "2.0")
2S: * CAPABILITY ... CONDSTORE MULTIAPPEND ...
2S: * ID ("name" "mailplat")
2S: b OK ID completed
2C: c ID ("name" "mutt")
2S: * CAPABILITY ... CONDSTORE QRESYNC ...
2S: * ID ("name" "mailplat")
2S: c OK ID completed
2C: d ID NIL
2S: * ID ("name" "mailplat")
2S: d OK ID completed
""",
            logged_in=False,
        )


def test_what_is_built_on_it_goes_too() -> None:
    """A capability takes those along that need it; the protocol itself stays."""
    assert switches(["condstore"]) == {"CONDSTORE", "QRESYNC"}
    assert switches(["Sort", "x"]) == {"SORT", "SORT=DISPLAY", "ESORT", "X"}
    assert switches(["IMAP4rev1"]) == frozenset()
    assert switches_of_account(None) == frozenset()
    assert switches_of_account(ALICE) == frozenset()


@pytest.mark.parametrize(
    ("rule", "said", "matches"),
    [
        (("*",), {}, False),
        (("*",), {"name": "x"}, True),
        (("a?c",), {"name": "ABC"}, True),
        (("a?c",), {"name": "abcd"}, False),
        (("abc", "1*"), {"name": "abc"}, False),
        (("abc", "1*"), {"name": "abc", "version": "1.2\n3"}, True),
        (("[",), {"name": "["}, True),
        (("*",), {"os": "x"}, True),
    ],
)
def test_client_rules(rule: Any, said: dict[str, str], matches: bool) -> None:
    """Patterns are of the whole name, and of the whole version."""
    assert ClientRule(*rule).matches(said) is matches


@pytest_twisted.ensureDeferred
async def test_a_changed_quota_holds_from_the_next_log_in(server: IMAPServer) -> None:
    """What the account may keep now is what its home is held to; no quota of its own, no change."""
    await server.play("""
C: a GETQUOTA ""
S: * QUOTA "" ()
S: a OK GETQUOTA completed
""")
    server.accounts.change(Account(ALICE.name, ALICE.addresses, quota=QuotaLimit(10240, 5)))
    await server.play("""
2C: a GETQUOTA ""
2S: * QUOTA "" (STORAGE 0 10 MESSAGE 0 5)
2S: a OK GETQUOTA completed
""")
    server.accounts.change(ALICE)
    server.lose(1)
    await server.play("""
3C: a GETQUOTA ""
3S: * QUOTA "" (STORAGE 0 10 MESSAGE 0 5)
3S: a OK GETQUOTA completed
""")
