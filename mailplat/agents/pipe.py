"""The delivery agent that gives mail to a program on its standard input.

The program's exit code is its answer (sysexits.h), and what it prints goes into a report.  No shell
reads its arguments; it runs with an environment of its own, and within a time limit.

Invariants:

- Nothing of a mail becomes an option: an argument made of an address never begins with ``-``.
- The program's environment holds what is named here, and nothing of the server's own.
- A program that runs too long, prints without end, or does not read, is bounded and ended.
- A fault of the configuration (no such program, exit codes 64, 72, 78) never bounces a mail.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailplat.agents.handover import answered
from mailplat.interfaces.agents import Attempt, IDeliveryAgent
from mailplat.interfaces.bodies import IBody
from mailplat.message.trace import return_path
from mailplat.model.address import Address
from mailplat.model.envelope import Recipient
from mailplat.model.errors import ConfigurationFault, Corrupt
from mailplat.model.outcome import Bounced, Delivered, Outcome
from mailplat.model.outcome import Deferred as DeferredOutcome
from mailplat.model.reply import Reply
from mailplat.net.room import Room

__all__ = ["PipeAgent", "PipeOptions"]

_BLOCK = 65536
_GRACE = 5.0  # seconds between TERM and KILL
_PATH = "/usr/local/bin:/usr/bin:/bin"
_PLACE = re.compile(r"\{(sender|recipient|local|domain|queue_id)\}")
_UNPRINTABLE = re.compile(r"[^ -~]")

# a program that cannot be run ends the shell with 126 or 127, and no program ends like that
_EXEC = ("/bin/sh", "-c", 'exec "$0" "$@"')

_EXITS = {  # RFC 3463 codes for sysexits.h; the operator's faults are temporary
    64: (451, "4.3.5", "the program was used incorrectly"),
    65: (554, "5.6.0", "the program cannot read the message"),
    66: (550, "5.3.0", "the program lacks an input"),
    67: (550, "5.1.1", "no such user"),
    68: (550, "5.1.2", "no such host"),
    69: (554, "5.3.0", "the program's service is not to be had"),
    70: (554, "5.3.0", "the program has an internal fault"),
    71: (451, "4.3.0", "the operating system failed"),
    72: (451, "4.3.5", "a system file is missing"),
    73: (550, "5.2.0", "the output cannot be made"),
    74: (451, "4.3.0", "reading or writing failed"),
    75: (451, "4.3.0", "the program asks to try again"),
    76: (554, "5.5.0", "the program's protocol failed"),
    77: (550, "5.7.0", "the program does not permit it"),
    78: (451, "4.3.5", "the program is misconfigured"),
    126: (451, "4.3.5", "the program cannot be run"),
    127: (451, "4.3.5", "the program cannot be found"),
}
_NOT_TRIED = Reply.of(451, "Not tried yet", "4.3.2")
_OTHER_EXIT = (554, "5.3.0", "the program failed")


@dataclass(frozen=True, slots=True)
class PipeOptions:
    """How a program is run.

    Attributes:
        timeout: Seconds that it may run.
        output: Bytes of its output that are kept; the rest is read and dropped.
        newlines: Whether lines end with LF, as programs expect; else with CRLF, as mail does.
        user: The system's user to run as, where the server may choose; ``""`` is its own.
        environment: Added to the program's environment.
    """

    timeout: float = 30.0
    output: int = 4096
    newlines: bool = True
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@implementer(IDeliveryAgent)
class PipeAgent:
    """Runs a program for a mail.

    Where an argument names ``{recipient}``, ``{local}`` or ``{domain}``, the program runs once for
    each recipient; otherwise once for all, and its answer is for all.  Also to be had are
    ``{sender}`` and ``{queue_id}``, and all of them as SENDER, RECIPIENT, LOCAL, DOMAIN and
    QUEUE_ID in the environment (RECIPIENT and its halves only if there is one).

    Args:
        reactor: Runs processes and tells the time.
        command: The program's path and its arguments.
        options: How to run it.

    Raises:
        ConfigurationFault: The user does not exist.
    """

    log = Logger()

    def __init__(
        self, reactor: Any, command: Sequence[str], options: PipeOptions | None = None
    ) -> None:
        self._reactor = reactor
        self._command = tuple(command)
        self._options = options or PipeOptions()
        places = {name for word in self._command for name in _PLACE.findall(word)}
        self._each = bool(places & {"recipient", "local", "domain"})
        self._ids: tuple[int, int] | tuple[None, None] = None, None
        self._home = "/"
        if self._options.user:
            try:
                entry = pwd.getpwnam(self._options.user)
            except KeyError as error:
                raise ConfigurationFault(
                    f"there is no user {self._options.user!r} to run {self._command[0]} as"
                ) from error
            self._home = entry.pw_dir
            if entry.pw_uid != os.geteuid():
                self._ids = entry.pw_uid, entry.pw_gid

    async def deliver(self, attempt: Attempt) -> Mapping[Recipient, Outcome]:
        """See `IDeliveryAgent.deliver`."""
        outcomes: dict[Recipient, Outcome] = {}
        program = self._command[0]
        groups = [attempt.recipients]
        if self._each:
            groups = [(one,) for one in attempt.recipients]
        going_on = True
        for recipients in groups:
            if going_on:
                run = self._run(attempt, recipients, outcomes)
                going_on = await answered(run, outcomes, recipients, program)
            else:
                outcomes.update(dict.fromkeys(recipients, DeferredOutcome(_NOT_TRIED, program)))
        return outcomes

    async def _run(
        self,
        attempt: Attempt,
        recipients: Sequence[Recipient],
        outcomes: dict[Recipient, Outcome],
    ) -> None:
        """Run the program once, and fill in what came of it."""
        reply = await self._answer(attempt, recipients[0] if len(recipients) == 1 else None)
        program = self._command[0]
        if reply.status == "4.3.5":
            self.log.error("{program}: {reply}", program=program, reply=reply.text)
        outcome: Outcome = DeferredOutcome(reply, program)
        if not reply.transient:
            outcome = Delivered(program, reply) if reply.positive else Bounced(reply, program)
        outcomes.update(dict.fromkeys(recipients, outcome))

    async def _answer(self, attempt: Attempt, recipient: Recipient | None) -> Reply:
        values = _values(attempt, recipient)
        words = [_PLACE.sub(lambda place: values[place[1]], word) for word in self._command]
        for word, template in zip(words, self._command, strict=True):
            if word.startswith("-") and not template.startswith("-"):
                return Reply.of(553, "The address cannot be an argument", "5.1.3")
        environment = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "HOME": self._home,
            **{name.upper(): value for name, value in values.items()},
            **self._options.environment,
        }
        process = _Process(self._reactor, self._options)
        self._reactor.spawnProcess(
            process,
            _EXEC[0],
            [word.encode() for word in (*_EXEC, *words)],
            {name.encode(): value.encode() for name, value in environment.items()},
            "/",
            *self._ids,
            childFDs=_PIPES,
        )
        try:
            await process.feed(return_path(values["sender"]), attempt.body)
            return await process.done
        except BaseException:
            process.kill()  # before it could take what it has for the whole
            await process.over
            raise


_PIPES: dict[int, Any] = {0: "w", 1: "r", 2: "r"}


def _values(attempt: Attempt, recipient: Recipient | None) -> dict[str, str]:
    """What a program is told; no NUL can be in an argument."""
    values = {"sender": _spelled(attempt.sender.address), "queue_id": attempt.queue_id}
    if recipient is not None:
        values["recipient"] = _spelled(recipient.address)
        values["local"] = recipient.address.local
        values["domain"] = recipient.address.domain
    return {
        name: value.replace("\0", "").encode("utf-8", "replace").decode()
        for name, value in values.items()
    }


def _spelled(address: Address | None) -> str:
    return "" if address is None else str(address)


@implementer(IPushProducer)
class _Process(ProcessProtocol):
    """One run of the program."""

    def __init__(self, reactor: Any, options: PipeOptions) -> None:
        self.done: Deferred[Reply] = Deferred()  # cancelled, it takes its result in silence
        self.over: Deferred[None] = Deferred()
        self._reactor = reactor
        self._options = options
        self._room = Room()
        self._output = b""
        self._reading = True  # the program takes its input
        self._held = b""  # a CR, perhaps of a CRLF
        self._timer: Any = None
        self._late = False

    # The input.

    async def feed(self, head: bytes, body: IBody) -> None:
        """Write the message as fast as the program reads."""
        wire: Any = self.transport
        self._write(head)
        for start in range(0, body.size, _BLOCK):
            if body.in_memory:
                block = body.read(start, start + _BLOCK)
            else:
                block = await deferToThread(body.read, start, start + _BLOCK)
            if len(block) != min(_BLOCK, body.size - start):
                raise Corrupt(f"a message of {body.size} bytes ends at {start + len(block)}")
            try:
                while self._room.full and self._reading:
                    await self._room.wait()
            except ConnectionLost:
                return
            if not self._reading:
                return
            self._write(block)
        if self._reading and self._held:
            wire.write(self._held)
        wire.closeStdin()

    def _write(self, block: bytes) -> None:
        wire: Any = self.transport
        if self._options.newlines:
            block = self._held + block
            self._held = b"\r" if block.endswith(b"\r") else b""
            block = block[: len(block) - len(self._held)].replace(b"\r\n", b"\n")
        wire.write(block)

    def pauseProducing(self) -> None:
        """The pipe is full."""
        self._room.full = True

    def resumeProducing(self) -> None:
        """There is room in the pipe."""
        self._room.free()

    def stopProducing(self) -> None:
        """The program reads no further."""

    # From the process.

    def connectionMade(self) -> None:
        """The program runs: its time begins."""
        wire: Any = self.transport
        wire.pipes[0].registerProducer(self, True)
        self._timer = self._reactor.callLater(self._options.timeout, self._expired)

    def outReceived(self, data: bytes) -> None:
        """Keep the beginning of what it prints."""
        self._output += data[: self._options.output - len(self._output)]

    errReceived = outReceived

    def inConnectionLost(self) -> None:
        """It reads no further, or its input is complete."""
        self._reading = False
        self._room.lose()

    def processExited(self, reason: Failure) -> None:
        """It ended; its children may hold its output open, and have a moment to end too."""
        if self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(1.0, self._let_go)

    def processEnded(self, reason: Failure) -> None:
        """It ended, and its output with it: that is the answer."""
        self._reading = False
        self._room.lose()
        if self._timer.active():
            self._timer.cancel()
        self.done.callback(self._reply(reason))
        self.over.callback(None)

    def _let_go(self) -> None:
        wire: Any = self.transport
        wire.loseConnection()

    def _expired(self) -> None:
        self._late = True
        self._signal("TERM")
        self._timer = self._reactor.callLater(_GRACE, self.kill)

    def kill(self) -> None:
        """End it now."""
        self._signal("KILL")

    def _signal(self, signal: str) -> None:
        wire: Any = self.transport
        if wire.pid is not None:
            wire.signalProcess(signal)

    def _reply(self, reason: Failure) -> Reply:
        said = _UNPRINTABLE.sub("?", self._output.decode("utf-8", "replace").strip()[-200:])
        if self._late:
            return Reply.of(451, "The program took too long", "4.3.0")
        if reason.check(ProcessDone):
            return Reply.of(250, said or "Ok", "2.0.0")
        error = reason.value
        if not isinstance(error, ProcessTerminated) or error.exitCode is None:
            return Reply.of(451, "The program was killed", "4.3.0")
        code, status, words = _EXITS.get(error.exitCode, _OTHER_EXIT)
        return Reply.of(code, said or words, status)
