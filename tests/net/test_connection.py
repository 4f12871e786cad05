"""Tests for `mailplat.net.connection`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from zope.interface import directlyProvides

from mailplat.interfaces.net import ILink
from mailplat.model.errors import Unavailable
from mailplat.model.peer import TLSInfo
from mailplat.net import connection as connection_module
from mailplat.net.connection import Connection
from mailplat.net.session import ConnectionOptions
from mailplat.testing.strict import LoggedErrors
from mailplat.testing.wire import MemoryWire


class Lines:
    """A conversation of lines: each is an event; what the session answers goes out."""

    def __init__(self) -> None:
        self.data = b""
        self.out = b""
        self.waiting = False
        self.closing = False
        self.ended = False
        self.secured = 0

    @property
    def paused(self) -> bool:
        """Whether much is unread."""
        return len(self.data) > 1000

    def receive(self, data: bytes) -> None:
        """Take bytes."""
        self.data += data

    def end_of_input(self) -> None:
        """Note the end."""
        self.ended = True

    def next_event(self) -> bytes | None:
        """Give the next line."""
        if self.waiting:
            return None
        line, found, rest = self.data.partition(b"\n")
        if not found:
            return None
        self.data, self.waiting = rest, True
        return line

    def answer(self, data: bytes) -> None:
        """Answer the line."""
        self.out += data
        self.waiting = False

    def bytes_to_send(self) -> bytes:
        """Take what is ready."""
        out, self.out = self.out, b""
        return out

    def tls_started(self) -> None:
        """Forget."""
        self.data = b""
        self.secured += 1


class Echo:
    """Answers a line by itself, and does what some lines say."""

    def __init__(self, lines: Lines, link: ILink) -> None:
        self.lines, self.link = lines, link
        self.log: list[str] = []
        self.waits: list[Deferred[bytes]] = []

    async def opened(self) -> None:
        """Greet."""
        self.log.append("opened")
        self.lines.out += b"hello\n"

    async def answer(self, event: bytes) -> None:
        """Do what the line says."""
        self.log.append(event.decode())
        if event == b"wait":
            wait: Deferred[bytes] = Deferred()
            self.waits.append(wait)
            try:
                event = await wait
            except CancelledError:
                self.log.append("cancelled")
                raise
        elif event == b"bug":
            raise ZeroDivisionError("secret")
        elif event == b"down":
            raise Unavailable("the disk")
        elif event == b"tls":
            self.link.start_tls()
        elif event == b"stream":
            for i in range(5):
                await self.link.write(b"%d" % i * 100)
        elif event == b"quit":
            self.lines.closing = True
        elif event == b"login":
            self.link.authenticated()
        self.lines.answer(event + b"\n")

    async def closed(self) -> None:
        """Note the end."""
        self.log.append("closed")


class LineConnection(Connection[bytes]):
    """Says for the conversation of lines what a protocol says."""

    def __init__(self, lines: Lines, open_session: Callable[[ILink], Echo], **more: object) -> None:
        super().__init__(lines, open_session, session_id="s1", **more)  # type: ignore[arg-type]
        self.lines = lines

    def answer_failure(self, error: Exception) -> None:
        """Answer."""
        self.lines.answer(b"failed\n")

    def say_timeout(self) -> None:
        """Say it."""
        self.lines.out += b"too slow\n"

    def say_shutdown(self) -> None:
        """Say it."""
        self.lines.out += b"bye\n"


class Bench:
    """A connection with everything around it."""

    def __init__(self, **options: float | None) -> None:
        self.clock = Clock()
        self.lines = Lines()
        self.wire = MemoryWire()
        self.released = 0
        self.session: Echo
        self.connection = LineConnection(
            self.lines,
            self._open,
            clock=self.clock,
            options=ConnectionOptions(**options),  # type: ignore[arg-type]
            tls=object(),
            released=self._release,
        )

    def _open(self, link: ILink) -> Echo:
        self.session = Echo(self.lines, link)
        return self.session

    def _release(self) -> None:
        self.released += 1

    def connect(self) -> Bench:
        """Connect, and take the greeting."""
        assert self.wire.carry(self.connection) == b"hello\n"
        return self

    def say(self, data: bytes) -> bytes:
        """Say something; give the answer."""
        self.connection.dataReceived(data)
        return self.wire.take()

    def lose(self) -> None:
        """Lose the connection, and see that nothing is left."""
        self.connection.connectionLost()
        assert self.released == 1
        assert self.session.log.count("closed") == 1
        assert self.session.log[-1] == "closed"
        assert self.clock.getDelayedCalls() == []


def test_pipelined_lines_are_answered_by_one_write() -> None:
    """What one read brings in is answered in order, by one write."""
    bench = Bench().connect()
    bench.wire.writes = 0
    assert bench.say(b"a\nb\nc\nd") == b"a\nb\nc\n"
    assert bench.wire.writes == 1
    assert bench.say(b"\n") == b"d\n"
    bench.lose()


def test_peer_is_known_before_the_session() -> None:
    """A session is opened with both ends of its connection."""
    bench = Bench().connect()
    assert bench.session.link.peer.address == "192.0.2.1"
    assert bench.session.link.peer.local_port == 25
    assert bench.session.link.peer.tls is None
    bench.lose()


def test_later_lines_wait_for_an_answer() -> None:
    """While an answer is pending nothing else is asked, and what was said before is out."""
    bench = Bench().connect()
    assert bench.say(b"a\nwait\nb\n") == b"a\n"
    assert bench.say(b"c\n") == b""
    bench.session.waits[0].callback(b"done")
    assert bench.wire.take() == b"done\nb\nc\n"
    bench.lose()


def test_reading_stops_while_the_conversation_is_paused() -> None:
    """Too much unread input stops the transport's reading until it is worked off."""
    bench = Bench().connect()
    bench.say(b"wait\n" + b"x" * 1001 + b"\n")
    assert not bench.wire.reading
    bench.session.waits[0].callback(b"done")
    assert bench.wire.reading
    bench.lose()


def test_losing_the_connection_cancels_the_session() -> None:
    """The coroutine that waits is cancelled, and then the session is closed, once."""
    bench = Bench().connect()
    bench.say(b"wait\nb\n")
    bench.lose()
    assert bench.session.log == ["opened", "wait", "cancelled", "closed"]


def test_a_session_may_wait_while_it_ends() -> None:
    """What a cancelled coroutine still awaits, and what ``closed`` awaits, is waited for."""
    bench = Bench().connect()
    last, close = Deferred[None](), Deferred[None]()

    async def answer(event: bytes) -> None:
        try:
            await Deferred()
        finally:
            await last

    async def closed() -> None:
        await close
        bench.session.log.append("closed")

    bench.session.answer = answer  # type: ignore[method-assign]
    bench.session.closed = closed  # type: ignore[method-assign]
    bench.say(b"x\n")
    bench.connection.connectionLost()
    last.callback(None)
    assert bench.released == 0
    close.callback(None)
    assert (bench.released, bench.session.log) == (1, ["opened", "closed"])


def test_unexpected_error_is_logged_once_and_answered(logged_errors: LoggedErrors) -> None:
    """A bug is logged with the session's id, the peer hears nothing of it, and life goes on."""
    bench = Bench().connect()
    assert bench.say(b"bug\na\n") == b"failed\na\n"
    (event,) = logged_errors.flush(ZeroDivisionError)
    assert event["session"] == "s1"
    bench.lose()


def test_expected_error_is_no_traceback() -> None:
    """A `MailError` that a session let pass is answered, and is not logged as an error."""
    bench = Bench().connect()
    assert bench.say(b"down\na\n") == b"failed\na\n"
    bench.lose()


def test_error_of_the_conversation_ends_the_connection(logged_errors: LoggedErrors) -> None:
    """A conversation that breaks ends its connection, whoever called."""
    bench = Bench().connect()
    bench.say(b"wait\n")

    def broken() -> None:
        raise ZeroDivisionError

    bench.lines.next_event = broken  # type: ignore[method-assign]
    bench.session.waits[0].callback(b"done")
    assert bench.wire.aborted
    assert len(logged_errors.flush(ZeroDivisionError)) == 1
    bench.lose()


def test_streaming_waits_while_the_buffer_is_full() -> None:
    """A session that streams goes on only when there is room, and nothing overtakes it."""
    bench = Bench(cork=100).connect()
    bench.wire.room = 150
    assert bench.say(b"stream\nnext\n") == b"0" * 100 + b"1" * 100
    bench.wire.drain(100)
    assert bench.wire.take() == b"2" * 100 + b"3" * 100
    bench.wire.drain(100)
    assert bench.wire.take() == b"4" * 100 + b"stream\nnext\n"
    bench.wire.drain(100)
    bench.lose()


def test_no_event_is_taken_while_the_buffer_is_full() -> None:
    """Short answers pile up no higher than the transport's buffer."""
    bench = Bench(cork=1).connect()
    bench.wire.room = 3
    assert bench.say(b"a\nb\nc\nd\n") == b"a\nb\n"
    bench.wire.drain(100)
    assert bench.wire.take() == b"c\nd\n"
    bench.lose()


def test_a_peer_that_does_not_read_is_cut_off() -> None:
    """A full buffer that nobody reads ends the connection."""
    bench = Bench(cork=100, stall_timeout=60).connect()
    bench.wire.room = 150
    bench.say(b"stream\n")
    bench.clock.advance(59)
    assert not bench.wire.aborted
    bench.clock.advance(1)
    assert bench.wire.aborted
    bench.lose()


def test_a_stream_ends_with_its_connection() -> None:
    """A session that waits for room is told when the connection is gone."""
    bench = Bench(cork=100).connect()
    bench.wire.room = 150
    bench.say(b"stream\n")
    bench.lose()


def test_silence_times_out() -> None:
    """A silent peer is told goodbye and closed; each answer gives it time again."""
    bench = Bench(idle_timeout=10).connect()
    bench.clock.advance(9)
    assert bench.say(b"a\n") == b"a\n"
    bench.clock.advance(9)
    assert not bench.wire.closing
    bench.clock.advance(1)
    assert bench.wire.take() == b"too slow\n"
    assert bench.wire.closing
    assert not bench.wire.aborted
    bench.lose()


def test_a_trickle_is_silence() -> None:
    """Bytes that make no command give a peer no more time."""
    bench = Bench(idle_timeout=10).connect()
    for _ in range(9):
        bench.clock.advance(1)
        assert bench.say(b"x") == b""
    bench.clock.advance(1)
    assert bench.wire.closing
    bench.lose()


def test_our_own_work_has_no_timeout() -> None:
    """While the session works the peer is not blamed for waiting."""
    bench = Bench(idle_timeout=10).connect()
    bench.say(b"wait\n")
    bench.clock.advance(1000)
    assert not bench.wire.closing
    bench.session.waits[0].callback(b"done")
    bench.clock.advance(9)
    assert not bench.wire.closing
    bench.clock.advance(1)
    assert bench.wire.closing
    bench.lose()


def test_login_has_its_own_timeout() -> None:
    """However busy a peer is, it has to log in before long; afterwards it need not."""
    for login, over in ((b"login\n", False), (b"a\n", True)):
        bench = Bench(idle_timeout=10, login_timeout=20).connect()
        bench.say(login)
        for _ in range(4):
            bench.clock.advance(6)
            bench.say(b"a\n")
        assert bench.wire.closing is over
        bench.lose()


def test_a_close_that_hangs_is_cut() -> None:
    """A peer that takes neither the last bytes nor the goodbye is cut off."""
    bench = Bench(close_timeout=5).connect()
    assert bench.say(b"quit\na\n") == b"quit\n"
    assert (bench.wire.closing, bench.wire.aborted) == (True, False)
    assert bench.wire.producer is None
    assert bench.say(b"b\n") == b""
    bench.clock.advance(5)
    assert bench.wire.aborted
    bench.lose()


def test_end_of_input_answers_first() -> None:
    """A peer that closed its side gets the answers to what it asked, and then the end."""
    bench = Bench().connect()
    bench.say(b"wait\nb\n")
    bench.connection.readConnectionLost()
    assert bench.lines.ended
    assert not bench.wire.closing
    bench.session.waits[0].callback(b"done")
    assert bench.wire.take() == b"done\nb\n"
    assert bench.wire.closing
    bench.lose()


def test_end_of_input_limits_an_answer() -> None:
    """Nobody knows if a half-closed peer still listens: its answer does not wait for ever."""
    bench = Bench(idle_timeout=10).connect()
    bench.say(b"wait\n")
    bench.connection.readConnectionLost()
    bench.clock.advance(10)
    assert bench.wire.aborted
    bench.lose()


def test_tls_starts_behind_the_answer() -> None:
    """The answer goes out in clear, what was pipelined behind the command is forgotten."""
    bench = Bench().connect()
    bench.connection.dataReceived(b"tls\ninjected\n")
    assert bench.wire.written() == b"tls\n"
    assert bench.wire.clear_text == b"tls\n"
    assert bench.lines.secured == 1
    bench.wire.take()
    assert bench.say(b"early\n") == b""
    secured = TLSInfo("TLSv1.3", "some cipher")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "tls_of", lambda transport, **_: secured)
        bench.connection.handshakeCompleted()
    assert bench.session.link.peer.tls == secured
    assert "injected" not in bench.session.log
    assert bench.say(b"a\n") == b"early\na\n"
    bench.lose()


def test_handshake_has_a_timeout() -> None:
    """Whoever begins TLS has to finish it."""
    bench = Bench(handshake_timeout=7).connect()
    bench.say(b"tls\n")
    bench.clock.advance(7)
    assert bench.wire.aborted
    bench.lose()


def test_implicit_tls_greets_after_the_handshake() -> None:
    """On a port that begins with TLS the session is opened once TLS is up."""
    bench = Bench(handshake_timeout=7)
    directlyProvides(bench.wire, ISSLTransport)
    assert bench.wire.carry(bench.connection) == b""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "tls_of", lambda transport, **_: TLSInfo("TLSv1.3", "x"))
        bench.connection.handshakeCompleted()
        bench.connection.handshakeCompleted()  # a renegotiation changes nothing
    assert bench.wire.written() == b"hello\n"
    assert bench.session.link.peer.tls is not None
    bench.lose()


def test_a_connection_without_session_is_released() -> None:
    """A peer that leaves during the handshake leaves nothing behind."""
    bench = Bench()
    directlyProvides(bench.wire, ISSLTransport)
    bench.wire.carry(bench.connection)
    bench.connection.connectionLost()
    assert bench.released == 1
    assert bench.clock.getDelayedCalls() == []


def test_a_busy_peer_gives_up_its_turn() -> None:
    """A peer that pipelines without end lets others have theirs."""
    bench = Bench(turn_events=10, idle_timeout=1000).connect()
    bench.lines.receive(b"a\n" * 24)
    assert bench.say(b"a\n") == b"a\n" * 10
    assert bench.say(b"") == b""
    bench.wire.writes = 0
    bench.clock.advance(0)
    assert bench.wire.take() == b"a\n" * 15
    assert bench.wire.writes == 2
    bench.lose()


def test_a_slow_peer_gives_up_its_turn_by_the_clock() -> None:
    """A turn ends by the clock too, and a lost connection takes no other."""
    bench = Bench(turn_seconds=0.5).connect()
    seconds = iter(range(100))
    bench.clock.seconds = lambda: float(next(seconds))  # type: ignore[method-assign]
    assert bench.say(b"a\nb\nc\n") == b"a\n"
    bench.lose()
    assert "b" not in bench.session.log


def test_shutdown_says_goodbye_behind_the_answer() -> None:
    """A server that stops lets the answer under way finish, and then says goodbye."""
    bench = Bench().connect()
    bench.say(b"wait\nb\n")
    bench.connection.shut_down()
    assert not bench.wire.closing
    bench.session.waits[0].callback(b"done")
    assert bench.wire.take() == b"done\nbye\n"
    assert bench.wire.closing
    bench.lose()


def test_flush_sends_unasked_news() -> None:
    """What a session tells outside of a coroutine goes out by ``flush``."""
    bench = Bench().connect()
    bench.lines.out += b"news\n"
    bench.session.link.flush()
    assert bench.wire.take() == b"news\n"
    bench.lose()
    bench.session.link.flush()


class Socket(FileDescriptor):
    """A real transport over a socket of the test's: it takes as many bytes as the test allows."""

    def __init__(self) -> None:
        self.writers: set[object] = set()
        super().__init__(reactor=self)  # type: ignore[arg-type]
        self.connected = 1
        self.takes: list[int | Exception] = []
        self.sent: list[bytes] = []

    def writeSomeData(self, data: bytes) -> int | Exception:
        """Take all, or what is said."""
        takes = self.takes.pop(0) if self.takes else len(data)
        if isinstance(takes, Exception):
            return takes
        self.sent.append(data[:takes])
        return min(takes, len(data))

    def addWriter(self, writer: object) -> None:
        """Be the reactor."""
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        """Be the reactor."""
        self.writers.discard(writer)

    def startTLS(self, context: object) -> None:
        """Begin TLS."""

    def getPeer(self) -> IPv4Address:
        """The other end."""
        return IPv4Address("TCP", "192.0.2.1", 54321)

    def getHost(self) -> IPv4Address:
        """Our end."""
        return IPv4Address("TCP", "198.51.100.1", 25)


def test_a_short_answer_leaves_at_once() -> None:
    """What the socket takes never meets the reactor; the rest does, and is sent in order."""
    bench, wire = Bench(), Socket()
    bench.connection.makeConnection(wire)  # type: ignore[no-untyped-call]
    bench.connection.dataReceived(b"a\nb\n")
    assert wire.sent == [b"hello\n", b"a\nb\n"]
    assert not wire.writers
    wire.sent.clear()
    wire.takes = [2, 0]
    bench.connection.dataReceived(b"long\n")
    assert wire.writers == {wire}
    wire.takes = [1]
    bench.connection.dataReceived(b"c\n")
    wire.doWrite()  # type: ignore[no-untyped-call]
    assert b"".join(wire.sent) == b"long\nc\n"
    assert not wire.writers
    bench.connection.dataReceived(b"d\n")
    assert wire.sent[-1] == b"d\n"
    bench.lose()


def test_a_long_answer_is_left_to_the_reactor() -> None:
    """More than fits the transport's buffer pauses us, so that others have their turn."""
    bench, wire = Bench(), Socket()
    bench.connection.makeConnection(wire)  # type: ignore[no-untyped-call]
    bench.connection.dataReceived(b"a" * 100_000 + b"\nb\n")
    assert wire.sent == [b"hello\n"]
    wire.doWrite()  # type: ignore[no-untyped-call]
    assert b"".join(wire.sent) == b"hello\n" + b"a" * 100_000 + b"\nb\n"
    bench.lose()


def test_a_socket_that_fails_is_left_to_the_reactor() -> None:
    """An error of the socket is found by who reports it: the reactor, when it writes next."""
    bench, wire = Bench(), Socket()
    bench.connection.makeConnection(wire)  # type: ignore[no-untyped-call]
    wire.takes = [ConnectionLost(), ConnectionLost()]
    bench.connection.dataReceived(b"a\n")
    assert wire.writers == {wire}
    bench.lose()


def test_nothing_goes_around_tls() -> None:
    """Once TLS is in between, everything is written to it."""
    bench, wire = Bench(), Socket()
    bench.connection.makeConnection(wire)  # type: ignore[no-untyped-call]
    bench.connection.dataReceived(b"tls\n")
    written: list[bytes] = []
    wire.write = written.append  # type: ignore[method-assign,assignment]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection_module, "tls_of", lambda transport, **_: TLSInfo("TLSv1.3", "x"))
        bench.connection.handshakeCompleted()
    bench.connection.dataReceived(b"d\n")
    assert (wire.sent, written) == ([b"hello\n", b"tls\n"], [b"d\n"])
    bench.lose()


def test_a_loss_in_the_middle_of_a_write() -> None:
    """A transport that reports the loss out of ``write`` confuses nothing."""
    bench = Bench(cork=1).connect()
    write = bench.wire.write

    def failing(data: bytes) -> None:
        write(data)
        bench.connection.connectionLost()

    bench.wire.write = failing  # type: ignore[method-assign]
    bench.say(b"a\nwait\n")
    assert bench.session.log == ["opened", "a", "closed"]
    assert bench.released == 1
    assert bench.clock.getDelayedCalls() == []


def test_a_loss_while_the_session_streams() -> None:
    """A loss out of ``write`` reaches the session that was streaming, and closes it once."""
    bench = Bench(cork=1).connect()
    write = bench.wire.write

    def failing(data: bytes) -> None:
        write(data)
        if data.startswith(b"2"):
            bench.connection.connectionLost()

    bench.wire.write = failing  # type: ignore[method-assign]
    bench.say(b"stream\nb\n")
    assert bench.session.log == ["opened", "stream", "closed"]
    assert bench.released == 1
