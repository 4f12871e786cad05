"""Tests for the filters that look at envelopes and messages by tables, and ask next servers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailplat.filters.access_list import read_lines
from mailplat.interfaces.filters import Mail
from mailplat.message import headers
from mailplat.model.address import Address
from mailplat.model.envelope import Envelope, Sender
from mailplat.model.errors import ConfigurationFault, Unavailable
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action
from mailplat.spool.intake import MemoryBody
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import started

LIST = """
# comment
allow client 192.0.2.0/28
deny  client 192.0.2.0/24       Your network is not wanted
deny  sender bad@d.example
allow sender *.good.example
deny  sender postmaster@*
deny  sender <>
defer recipient slow@example.org  Later
deny  recipient closed.example
"""


@pytest.mark.parametrize(
    ("address", "sender", "action", "tags"),
    [
        ("192.0.2.1", "x@e.example", Action.CONTINUE, {"allowed"}),
        ("192.0.2.77", "x@e.example", Action.REJECT, {"denied"}),
        ("192.0.2.1", "bad@d.example", Action.CONTINUE, {"allowed"}),  # the earlier line holds
        ("198.51.100.1", "BAD@D.example", Action.REJECT, {"denied"}),
        ("198.51.100.1", "a@sub.good.example", Action.CONTINUE, {"allowed"}),
        ("198.51.100.1", "a@good.example", Action.CONTINUE, set()),
        ("198.51.100.1", "postmaster@any.example", Action.REJECT, {"denied"}),
        ("198.51.100.1", "", Action.REJECT, {"denied"}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_access(
    server: Any, tmp_path: Path, address: str, sender: str, action: Action, tags: set[str]
) -> None:
    """The first line that fits the client or the sender holds."""
    (tmp_path / "access").write_text(LIST)
    made = server("access_list:access", directory=tmp_path, threads=True)
    visit = made.connect(address)
    verdict = await visit.sender(sender)
    assert verdict.action is action
    assert visit.context.tags == (tags if action is Action.CONTINUE else visit.context.tags)
    if address == "192.0.2.77":
        assert verdict.reply.text == "Your network is not wanted"


@pytest_twisted.ensureDeferred
async def test_access_of_recipients(server: Any, tmp_path: Path) -> None:
    """Recipients have lines of their own."""
    (tmp_path / "access").write_text(LIST)
    made = server("access_list:access", directory=tmp_path, threads=True)
    visit = made.connect("198.51.100.1")
    await visit.sender("x@e.example")
    assert (await visit.recipient("Slow@example.org")).action is Action.DEFER
    assert (await visit.recipient("any@closed.example")).action is Action.REJECT
    assert (await visit.recipient("bob@example.org")).action is Action.CONTINUE


@pytest_twisted.ensureDeferred
async def test_accepted_past_all_others(server: Any, tmp_path: Path) -> None:
    """If the operator wants it so, nobody else is asked."""
    (tmp_path / "access").write_text(LIST)
    made = server("access_list:access", {"accept": True}, directory=tmp_path, threads=True)
    assert (await made.connect().sender()).action is Action.ACCEPT


@pytest_twisted.ensureDeferred
async def test_the_file_changes(server: Any, tmp_path: Path, logged_errors: LoggedErrors) -> None:
    """A change holds after a while; a fault changes nothing, and is told once."""
    file = tmp_path / "access"
    made = server("access_list:access", directory=tmp_path, threads=True)
    with pytest.raises(Unavailable, match="No such file"):
        await made.filter.lines()
    file.write_text(LIST)
    made.time += 6
    assert (await made.connect("192.0.2.77").sender("x@e.example")).action is Action.REJECT
    file.write_text("deny everybody\n")
    made.time += 6
    assert (await made.connect("192.0.2.77").sender("x@e.example")).action is Action.REJECT
    file.write_text("deny sender x@e.example\n")
    os.utime(file, (1, 1))
    made.time += 6
    assert (await made.connect("198.51.100.1").sender("x@e.example")).action is Action.REJECT
    assert (await made.connect("192.0.2.77").sender("y@e.example")).action is Action.CONTINUE
    assert len(logged_errors.flush()) == 2


@pytest.mark.parametrize(
    "text", ["deny", "deny client", "deny client nowhere", "refuse sender a@b", "deny host x"]
)
def test_faults_name_their_line(text: str) -> None:
    """A line that cannot be read is named by its number."""
    with pytest.raises(ConfigurationFault, match="line 2"):
        read_lines(f"# first\n{text}\n")


MESSAGE = (
    b"From: x@d.example\r\nSubject: =?utf-8?q?Cheap_p=69lls?=\r\nX-Odd: a\r\n b\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nd2luIGEgbWlsbGlvbg==\r\n"
    b"--b\r\nContent-Type: application/octet-stream; name*=utf-8''invoice%2Eexe\r\n"
    b"Content-Disposition: attachment\r\n\r\nMZ\r\n--b--\r\n"
)


def rule(look_at: str, pattern: str, **more: Any) -> dict[str, Any]:
    """Options with one rule."""
    return {"rules": [{"look_at": look_at, "pattern": pattern, **more}]}


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        (rule("header", "(?i)cheap pills"), True),
        (rule("header", "cheap pills"), False),
        (rule("header", "^a b$", field="X-Odd"), True),
        (rule("header", "^a b$", field="*"), True),
        (rule("header", "a", field="X-None"), False),
        (rule("body", "a million"), True),
        (rule("body", "Subject"), False),
        (rule("attachment", r"(?i)\.(exe|scr)$"), True),
        (rule("attachment", r"\.pdf$"), False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_rules(server: Any, contract: Any, options: Any, fits: bool) -> None:
    """Fields, text and names of files are decoded before they are looked at."""
    made = server("content_rules:", options)
    assert verifyObject(contract, made.filter)
    visit = made.connect()
    await visit.sender()
    verdict = await visit.message(MESSAGE)
    assert verdict.action is (Action.REJECT if fits else Action.CONTINUE)


@pytest_twisted.ensureDeferred
async def test_severest_rule(server: Any) -> None:
    """Points and tags of all rules that fit are given, and the severest verdict holds."""
    rules = [
        {"look_at": "body", "pattern": "million", "action": "tag", "tag": "money", "score": 2.0},
        {"look_at": "header", "pattern": "pills", "action": "quarantine", "mailbox": "Pills"},
        {"look_at": "header", "pattern": "Cheap", "action": "continue", "score": 1.5},
    ]
    made = server("content_rules:", {"rules": rules})
    visit = made.connect()
    await visit.sender()
    verdict = await visit.message(MESSAGE)
    assert (verdict.action, verdict.mailbox) == (Action.QUARANTINE, "Pills")
    assert visit.context.tags == {"money"}
    assert visit.context.scores == {"content_rules": 3.5}


@pytest_twisted.ensureDeferred
async def test_a_pattern_that_would_take_ages(server: Any) -> None:
    """RE2 takes time in proportion to the text."""
    made = server("content_rules:", rule("body", "(a*)*(a|aa)+$", action="reject"))
    visit = made.connect()
    await visit.sender()
    text = b"Subject: x\r\n\r\n" + b"a" * 50_000 + b"b\r\n"
    assert (await visit.message(text)).action is Action.CONTINUE


def test_no_pattern(server: Any) -> None:
    """What is no pattern is told when the filter is made."""
    for pattern in ("(", "(?=a)", r"(a)\1"):
        with pytest.raises(ConfigurationFault, match="no pattern of RE2"):
            server("content_rules:", rule("body", pattern))


@given(st.binary(max_size=300), st.binary(max_size=300))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_message(server: Any, header: bytes, body: bytes) -> None:
    """Whatever strangers write, there is an answer."""
    made = server(
        "content_rules:",
        {
            "rules": [
                *rule("header", "x", field="*", action="tag")["rules"],
                *rule("body", "y", action="tag")["rules"],
                *rule("attachment", "z", action="tag")["rules"],
            ]
        },
    )
    for between in (
        b"\r\n\r\n",
        b'\r\nContent-Type: text/plain; charset=utf-16; name="\xff"\r\n\r\n',
    ):
        whole = b"Subject: =?utf-8?b?7aCA?= " + header + between + body
        start, _ = headers.split(whole)
        mail = Mail("q", Envelope(Sender(None), ()), start, MemoryBody(whole))
        verdict: Any = started(made.filter.verdict(mail)).result
        assert verdict.action is Action.CONTINUE


def test_nothing_to_do(server: Any) -> None:
    """A filter without a table is a mistake, and told."""
    for use in ("content_rules:", "dns_lists:", "rate_limits:"):
        with pytest.raises(ConfigurationFault, match=r"filter\.options"):
            server(use)


class Next:
    """The next server.

    Attributes:
        asked: How often it was.
    """

    def __init__(self, *replies: Any) -> None:
        self.asked = 0
        self._replies = list(replies)

    async def verify(self, address: Address) -> Reply | None:
        """Answer."""
        self.asked += 1
        reply = self._replies.pop(0)
        found: Reply | None = await reply if isinstance(reply, Deferred) else reply
        return found


YES, NO = Reply.of(250, "Ok", "2.1.5"), Reply.of(550, "No such user", "5.1.1")
LATER = Reply.of(451, "Not now")


async def verdict_of(made: Any, account: str = "") -> Action:
    """Ask for a recipient."""
    visit = made.connect(account=account)
    await visit.sender()
    action: Action = (await visit.recipient()).action
    return action


@pytest_twisted.ensureDeferred
async def test_verified(server: Any, contract: Any) -> None:
    """Answers are remembered: yes for long, no for some hours; no answer is not."""
    there = Next(NO, LATER, None, YES)
    made = server("verify_recipient:", verify=there.verify)
    assert verifyObject(contract, made.filter)
    assert await verdict_of(made, "alice") is Action.CONTINUE
    assert [await verdict_of(made) for _ in range(3)] == [Action.REJECT] * 3
    assert there.asked == 1
    made.time += 3 * 3600 + 1
    assert [await verdict_of(made) for _ in range(4)] == [Action.CONTINUE] * 4
    assert there.asked == 4
    made.time += 30 * 86400
    assert await verdict_of(made) is Action.CONTINUE
    assert there.asked == 4


@pytest_twisted.ensureDeferred
async def test_verified_once(server: Any) -> None:
    """Equal questions share an answer; nobody waits too long, and a late answer is kept."""
    answer: Deferred[Reply] = Deferred()
    there = Next(answer)
    made = server("verify_recipient:", {"no_answer": "defer", "time": "9s"}, verify=there.verify)
    asked = [started(verdict_of(made)) for _ in range(3)]
    assert there.asked == 1
    made.clock.advance(10)
    assert [await one for one in asked] == [Action.DEFER] * 3
    answer.callback(NO)
    assert await verdict_of(made) is Action.REJECT
    assert there.asked == 1
