"""Tests for `mailplat.agents.pipe`: real programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from mailplat.agents.pipe import PipeAgent, PipeOptions
from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.outcome import Bounced, Deferred, Delivered
from mailplat.testing import agents
from mailplat.testing.agents import StringBody
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.turns import started, until

ANN, BEN = (Recipient(Address(name, "one.example")) for name in ("ann", "ben"))
HEAD = b"Return-Path: <sender@example.net>\n"


def script(directory: Path, text: str) -> str:
    """Write a program."""
    path = directory / "program"
    path.write_text(f"#!/bin/sh\ncd {directory}\n{text}\n")
    path.chmod(0o700)
    return str(path)


def pipe(directory: Path, text: str, *arguments: str, **options: object) -> PipeAgent:
    """Make an agent that runs a shell script."""
    how = PipeOptions(**{"timeout": 20.0, **options})  # type: ignore[arg-type]
    return PipeAgent(reactor, [script(directory, text), *arguments], how)


class TestContract(agents.AgentContract):
    """A pipe keeps the contract of delivery agents."""

    @pytest.fixture
    def agent(self, tmp_path: Path) -> IDeliveryAgent:
        """A program that takes everything."""
        return pipe(tmp_path, "cat > /dev/null")

    @pytest.fixture
    def recipients(self) -> Sequence[Recipient]:
        """Anybody."""
        return [ANN, BEN]


@pytest_twisted.ensureDeferred
async def test_once_for_all(tmp_path: Path) -> None:
    """Without a place for the recipient the program runs once, with LF as line end."""
    agent = pipe(tmp_path, 'cat >> mail; echo "kept  it"', "{sender}")
    outcomes = await agent.deliver(agents.attempt([ANN, BEN]))
    assert (tmp_path / "mail").read_bytes() == HEAD + b"Subject: hello\n\nhello\n"
    ann = outcomes[ANN]
    assert isinstance(ann, Delivered)
    assert ann.reply is not None
    assert ann.reply.text == "kept  it"
    assert outcomes[BEN] == ann


@pytest_twisted.ensureDeferred
async def test_once_for_each(tmp_path: Path) -> None:
    """With a place for the recipient it runs for each, and each has its own answer."""
    agent = pipe(tmp_path, 'cat > "$2"; test "$1" = ann@one.example', "{recipient}", "to-{local}")
    outcomes = await agent.deliver(agents.attempt([ANN, BEN]))
    assert isinstance(outcomes[ANN], Delivered)
    assert isinstance(outcomes[BEN], Bounced)
    assert sorted(path.name for path in tmp_path.glob("to-*")) == ["to-ann", "to-ben"]


@pytest_twisted.ensureDeferred
async def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program sees what is named, and nothing of the server's own."""
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    agent = pipe(tmp_path, "cat > /dev/null; env > env", environment={"COLOUR": "blue"})
    await agent.deliver(agents.attempt([ANN]))
    lines = (tmp_path / "env").read_text().splitlines()
    found = {line.partition("=")[0] for line in lines}
    assert found - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH",
        "LANG",
        "HOME",
        "SENDER",
        "RECIPIENT",
        "LOCAL",
        "DOMAIN",
        "QUEUE_ID",
        "COLOUR",
    }
    assert "RECIPIENT=ann@one.example" in lines


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        (0, Delivered, "2.0.0"),
        (64, Deferred, "4.3.5"),
        (65, Bounced, "5.6.0"),
        (67, Bounced, "5.1.1"),
        (75, Deferred, "4.3.0"),
        (77, Bounced, "5.7.0"),
        (78, Deferred, "4.3.5"),
        (1, Bounced, "5.3.0"),
        ("KILL", Deferred, "4.3.0"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_exit_codes(
    tmp_path: Path,
    code: int | str,
    kind: type[object],
    status: str,
    logged_errors: LoggedErrors,
) -> None:
    """Exit codes say what sysexits.h says; a signal says nothing."""
    ending = f"exit {code}" if isinstance(code, int) else "kill -KILL $$"
    outcome = (await pipe(tmp_path, ending).deliver(agents.attempt([ANN])))[ANN]
    assert bool(logged_errors.flush()) is (status == "4.3.5")
    assert type(outcome) is kind
    assert isinstance(outcome, Delivered | Deferred | Bounced)
    assert outcome.reply is not None
    assert outcome.reply.status == status


@pytest_twisted.ensureDeferred
async def test_nothing_becomes_an_option(tmp_path: Path) -> None:
    """An address that begins with a dash is no argument; one with blanks or quotes is one."""
    evil = Recipient(Address("-rf", "one.example"))
    odd = Recipient(Address('a b"$(touch pwned)', "one.example"))
    agent = pipe(tmp_path, 'cat > /dev/null; printf "%s" "$1" > said', "{recipient}")
    outcomes = await agent.deliver(agents.attempt([evil, odd]))
    assert isinstance(outcomes[evil], Bounced)
    assert isinstance(outcomes[odd], Delivered)
    assert (tmp_path / "said").read_text() == str(odd.address)
    assert not (tmp_path / "pwned").exists()


@pytest_twisted.ensureDeferred
async def test_takes_too_long(tmp_path: Path) -> None:
    """A program that does not end is ended, and its mail waits."""
    agent = pipe(tmp_path, "exec sleep 60", timeout=0.1)
    outcome = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(outcome, Deferred)
    assert "too long" in outcome.reply.text


@pytest_twisted.ensureDeferred
async def test_does_not_read(tmp_path: Path) -> None:
    """A program may leave its input unread: its exit code counts all the same."""
    large = Attempt("q", Sender(None), (ANN,), StringBody(b"x\r\n" * 500_000), None, 0)
    outcome = (await pipe(tmp_path, "exec 0<&-; echo no room; exit 75").deliver(large))[ANN]
    assert isinstance(outcome, Deferred)
    assert outcome.reply.text == "no room"


@pytest_twisted.ensureDeferred
async def test_large_mail_and_much_output(tmp_path: Path) -> None:
    """A large mail arrives whole, in blocks; of the output only the beginning is kept."""
    body = StringBody(b"0123456789abcd\r\n" * 60_000 + b"end\r")
    body.in_memory = False
    large = Attempt("q", Sender(None), (ANN,), body, None, 0)
    agent = pipe(tmp_path, "cat > mail; yes | head -c 300000", output=50)
    outcome = (await agent.deliver(large))[ANN]
    assert isinstance(outcome, Delivered)
    assert outcome.reply is not None
    assert len(outcome.reply.text) <= 50
    mail = (tmp_path / "mail").read_bytes()
    assert mail == b"Return-Path: <>\n" + b"0123456789abcd\n" * 60_000 + b"end\r"


@pytest_twisted.ensureDeferred
async def test_line_ends_as_they_are(tmp_path: Path) -> None:
    """Where it is asked for, lines keep their CRLF."""
    agent = pipe(tmp_path, "cat > mail", newlines=False)
    await agent.deliver(agents.attempt([ANN]))
    assert (tmp_path / "mail").read_bytes().endswith(b"hello\r\n\r\nhello\r\n")


@pytest_twisted.ensureDeferred
async def test_a_child_that_stays(tmp_path: Path) -> None:
    """A program that leaves a child behind has answered when it ends itself."""
    agent = pipe(tmp_path, "cat > /dev/null; sleep 3 & exit 0")
    before = reactor.seconds()
    assert isinstance((await agent.deliver(agents.attempt([ANN])))[ANN], Delivered)
    assert reactor.seconds() - before < 2.9


@pytest_twisted.ensureDeferred
async def test_no_such_program(tmp_path: Path, logged_errors: LoggedErrors) -> None:
    """A program that is not there is the operator's fault, and told to the log."""
    not_runnable = tmp_path / "text"
    not_runnable.write_text("hello")
    strange = tmp_path / "strange"
    strange.write_text("#!/no/such\n")
    strange.chmod(0o700)
    for program in ("/no/such", str(not_runnable), str(strange)):
        outcome = (await PipeAgent(reactor, [program]).deliver(agents.attempt([ANN])))[ANN]
        assert isinstance(outcome, Deferred)
        assert outcome.reply.status == "4.3.5"
        assert logged_errors.flush()


@pytest_twisted.ensureDeferred
async def test_a_mail_that_cannot_be_read(tmp_path: Path, logged_errors: LoggedErrors) -> None:
    """A program that got half a mail never sees its end."""
    body = StringBody(b"x\r\n")
    body.size = 10
    broken = Attempt("q", Sender(None), (ANN,), body, None, 0)
    agent = pipe(tmp_path, "cat > mail && touch complete")
    assert isinstance((await agent.deliver(broken))[ANN], Deferred)
    assert logged_errors.flush()
    assert not (tmp_path / "complete").exists()


@pytest_twisted.ensureDeferred
async def test_cancelled(tmp_path: Path) -> None:
    """An attempt that is given up ends its program, begins no other, and answers for all."""
    agent = pipe(tmp_path, "echo $$ >> pids; exec sleep 60", "{recipient}")
    delivering = started(agent.deliver(agents.attempt([ANN, BEN])))
    await until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text() != "")
    delivering.cancel()
    outcomes = await delivering
    assert [type(one) for one in outcomes.values()] == [Deferred, Deferred]
    (pid,) = (tmp_path / "pids").read_text().split()
    await until(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest_twisted.ensureDeferred
async def test_as_another_user(tmp_path: Path) -> None:
    """Where the server may choose, the program runs as the user that is configured."""
    if os.geteuid() != 0:
        user, expected = None, os.geteuid()
    else:
        user, expected = "nobody", 65534
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    path = Path(script(tmp_path, "cat > /dev/null; id -u"))
    path.chmod(0o755)
    agent = PipeAgent(reactor, [str(path)], PipeOptions(user=user or ""))
    outcome = (await agent.deliver(agents.attempt([ANN])))[ANN]
    assert isinstance(outcome, Delivered)
    assert outcome.reply is not None
    assert outcome.reply.text == str(expected)
