"""The client's side of an SMTP or LMTP connection, as a pure state machine (RFC 5321, RFC 2033).

The owner says what to do (`send`, `start_tls`, `login`, `quit`), one thing at a time, and hears by
events what came of it.  The greeting and EHLO are waited for and said without being asked.

Invariants:

- Every command that was sent has one entry in ``_sent`` until its reply is there, so a reply is
  never taken for the answer to another command.  A reply that nobody waits for, and bytes that
  are no reply, end the conversation: nothing after them can be trusted.
- Every `send` is followed by exactly one `Handed`, with a result for each recipient, whatever
  the server does.  Only for those whose message went out to its last byte without an answer it
  is ``unsure``: the one case that SMTP leaves open (RFC 5321 §4.5.3.2.6).
- 421 ends the conversation wherever it comes (RFC 5321 §3.8): what was asked is answered by it.
- After STARTTLS was accepted nothing of the plaintext is left: no bytes, no offers (RFC 3207 §4.2).
"""

from __future__ import annotations

from collections import deque
from functools import partial

from mailplat.model.envelope import BodyType, Recipient
from mailplat.model.reply import Reply
from mailplat.proto.sasl.client import ClientExchange
from mailplat.proto.sasl.scram_client import Derivation
from mailplat.proto.smtp.client_events import (
    ClientEvent,
    ContentWanted,
    Gone,
    Handed,
    KeyWanted,
    LoginAnswered,
    Phase,
    Ready,
    TLSAnswered,
)
from mailplat.proto.smtp.client_login import ClientLogin
from mailplat.proto.smtp.client_transaction import (
    WITHOUT_MORE,
    Command,
    Took,
    Transaction,
    nonsense,
    not_too_many,
)
from mailplat.proto.smtp.data_writer import DotStuffer, LineEnds, chunk
from mailplat.proto.smtp.offers import Dialect
from mailplat.proto.smtp.peer_offers import PeerOffers, parse_offers
from mailplat.proto.smtp.reply_reader import NoReply, ReplyLimits, ReplyReader
from mailplat.proto.smtp.spell import mail_line, rcpt_line
from mailplat.proto.smtp.transfer import Result, Transfer, fit

__all__ = ["ClientConversation"]


class ClientConversation:
    """One connection to a server (the shape is `mailplat.proto.conversation.Conversation`).

    Attributes:
        offers: What the server offers, once `Ready`.
        tls: Whether TLS protects the connection.
        authenticated: Whether a login was accepted.
        replies: How many replies were read: who waits sees by it that the server is alive.
        transfers: How many mails were handed over, well or not.
    """

    def __init__(
        self,
        name: str,
        *,
        dialect: Dialect = Dialect.SMTP,
        limits: ReplyLimits | None = None,
        tls: bool = False,
        chunking: bool = True,
    ) -> None:
        """Begin a connection.

        Args:
            name: Our own host name, for EHLO.
            dialect: SMTP or LMTP.
            limits: What a reply may be.
            tls: Whether TLS was there from the first byte on.
            chunking: Whether to use BDAT where it is offered.
        """
        self.offers = PeerOffers()
        self.tls = tls
        self.authenticated = False
        self.replies = 0
        self.transfers = 0
        self._name = name
        self._dialect = dialect
        self._chunking = chunking
        self._limits = limits or ReplyLimits()
        self._reader = ReplyReader(self._limits)
        self._output: list[bytes] = []
        self._unsent: deque[Command] = deque()
        self._sent: deque[Command] = deque([Command(Phase.GREETING, b"", self._greeted)])
        self._events: deque[ClientEvent] = deque()
        self._transaction: Transaction | None = None
        self._login: ClientLogin | None = None
        self._securing = False
        self._ended = False
        self._over = False

    # -- the shape of every conversation

    @property
    def paused(self) -> bool:
        """Whether enough input is waiting: read no more for now."""
        return len(self._reader) > self._limits.size

    @property
    def closing(self) -> bool:
        """Whether the connection ends once the bytes to send are sent."""
        return self._over and not self._events

    def receive(self, data: bytes) -> None:
        """Take bytes from the server, cut anywhere."""
        if not (self._over or self._securing):  # plaintext behind STARTTLS is not for us
            self._reader.receive(data)

    def end_of_input(self) -> None:
        """The server sends no more; what it said before still counts."""
        self._ended = True

    def next_event(self) -> ClientEvent | None:
        """Give what happened next; None until more input comes."""
        while not self._events and self._take_reply():
            pass
        if not self._events and self._ended:
            self.abandon(self._broken("the server closed the connection before"))
        return self._events.popleft() if self._events else None

    def bytes_to_send(self) -> bytes:
        """Take what is ready to go to the server."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def tls_started(self) -> None:
        """TLS is about to carry the connection: forget everything before it (RFC 3207 §4.2)."""
        self._securing = False
        self.tls = True
        self.authenticated = False
        self.offers = PeerOffers()
        self._reader.clear()
        self._say_hello(extended=True)

    # -- what the owner says

    @property
    def phase(self) -> Phase:
        """What is waited for."""
        if self._sent:
            return self._sent[0].phase
        return Phase.IDLE if self._transaction is None else Phase.CONTENT

    @property
    def over(self) -> bool:
        """Whether nothing more can be asked of this connection."""
        return self._over

    def start_tls(self) -> None:
        """Ask for TLS; `TLSAnswered` follows."""
        self._ask(Phase.STARTTLS, b"STARTTLS\r\n", self._tls_answered)

    def login(self, mechanism: str, exchange: ClientExchange) -> None:
        """Log in; `LoginAnswered` follows, `KeyWanted` perhaps before it.

        Args:
            mechanism: One that the server offers.
            exchange: A new one, of `proto.sasl.client.choose`.
        """
        self._login = ClientLogin(mechanism, exchange)
        self._ask(Phase.LOGIN, self._login.line, self._login_answered)

    def give_key(self, salted: bytes) -> None:
        """Go on after `KeyWanted`."""
        assert self._login is not None
        self._ask(Phase.LOGIN, self._login.derived(salted), self._login_answered)

    def send(self, transfer: Transfer) -> None:
        """Hand a mail over; `Handed` follows, `ContentWanted` perhaps before it."""
        if self._transaction is not None or self._over:
            raise RuntimeError("the connection is not free for a mail")
        final = self._dialect is Dialect.LMTP
        fitted = fit(transfer, self.offers, tls=self.tls, final=final)
        results = [Result(one) if isinstance(one, Reply) else None for one in fitted.recipients]
        self._transaction = Transaction(
            fitted, results, results.count(None), verify=transfer.verify
        )
        if self._transaction.left == 0:
            self._finish(reset=False)
            return
        self._command_mail(transfer.contents.size)
        self._send_commands()

    @property
    def streaming(self) -> bool:
        """Whether `content` is wanted now; looks at what the server said meanwhile."""
        while self._take_reply():
            pass
        return self._transaction is not None and self._transaction.streaming

    def content(self, block: bytes, *, last: bool) -> None:
        """Take the message's next bytes; only while `streaming` is true."""
        transaction = self._mail
        assert transaction.streaming
        transaction.complete = last
        if transaction.stuffer is not None:
            self._output.append(transaction.stuffer.write(block))
            if last:
                self._output.append(transaction.stuffer.end())
                transaction.streaming = False
                self._await_end(transaction)
            return
        ends = transaction.ends
        data = block if ends is None else ends.write(block) + (ends.end() if last else b"")
        self._output.append(chunk(data, last=last))
        if last:
            transaction.streaming = False
            self._await_end(transaction)
        else:
            transaction.streaming = self._pipelines_chunks
            self._sent.append(Command(Phase.CHUNK, b"", self._chunk_answered))

    def quit(self) -> None:
        """Say goodbye; the connection ends with the server's answer, or by its owner."""
        if not self._over:
            self._ask(Phase.QUIT, b"QUIT\r\n", self._leave)

    def abandon(self, why: Reply) -> None:
        """The connection is lost, or will be: whatever is under way has this answer.

        What the server said before still counts.
        """
        while self._take_reply():
            pass
        self._leave(why, unanswered=True)

    # -- commands and replies

    def _ask(self, phase: Phase, line: bytes, took: Took, *, barrier: bool = True) -> None:
        self._unsent.append(Command(phase, line, took, barrier))
        self._send_commands()

    def _send_commands(self) -> None:
        """Send what may be sent: all of a group, or one at a time (RFC 2920 §3.1)."""
        while self._unsent and (
            not self._sent or (self.offers.pipelining and not self._sent[-1].barrier)
        ):
            command = self._unsent.popleft()
            self._output.append(command.line)
            self._sent.append(command)

    def _take_reply(self) -> bool:
        """Read one reply and act on it; whether there was one."""
        if self._over or self._securing:
            return False
        try:
            reply = self._reader.next_reply()
        except NoReply as fault:
            self._leave(nonsense(str(fault)), unanswered=True)
            return True
        if reply is None:
            return False
        self.replies += 1
        if reply.code == 421 and self.phase is not Phase.QUIT:
            self._leave(reply)
        elif not self._sent:
            self._unasked(reply)
        else:
            command = self._sent.popleft()
            if 300 <= reply.code < 400 and command.phase in WITHOUT_MORE:
                self._out_of_step()
            else:
                command.took(reply)
            self._send_commands()
        return True

    def _unasked(self, reply: Reply) -> None:
        """A refusal before the message's end counts; anything else is out of step."""
        if self._transaction is not None and not reply.positive:
            self._leave(reply)
        else:
            self._leave(nonsense("it answered what was not asked"), unanswered=True)

    def _leave(self, why: Reply, *, unanswered: bool = False) -> None:
        """End the conversation; ``unanswered`` if the server did not say why."""
        if self._over:
            return
        self._over = True
        self._unsent.clear()
        self._sent.clear()
        self._reader.clear()
        transaction = self._transaction
        if transaction is not None:
            transaction.refusal = transaction.refusal or why
            self._hand(transaction, unsure=unanswered and transaction.complete)
        self._events.append(Gone(why))

    def _broken(self, what: str) -> Reply:
        return Reply.of(451, f"Connection lost: {what} {self.phase.value}", "4.4.2")

    def _out_of_step(self) -> None:
        self._leave(nonsense("its answer does not fit the command"), unanswered=True)

    # -- the beginning

    def _greeted(self, reply: Reply) -> None:
        if reply.code == 220:
            self._say_hello(extended=True)
        elif reply.positive:
            self._out_of_step()
        else:
            self._leave(reply)

    def _say_hello(self, *, extended: bool) -> None:
        verb = "HELO" if not extended else "EHLO" if self._dialect is Dialect.SMTP else "LHLO"
        line = f"{verb} {self._name}\r\n".encode()
        self._ask(Phase.HELLO, line, partial(self._hello_answered, extended))

    def _hello_answered(self, extended: bool, reply: Reply) -> None:
        if 200 <= reply.code < 300:
            self.offers = parse_offers(reply, extended=extended)
            self._events.append(Ready())
        elif reply.permanent and extended and self._dialect is Dialect.SMTP:
            self._say_hello(extended=False)  # RFC 5321 §3.2
        elif reply.positive:
            self._out_of_step()
        else:
            self._leave(reply)

    def _tls_answered(self, reply: Reply) -> None:
        self._securing = reply.code == 220
        if reply.positive and not self._securing:
            self._out_of_step()
        else:
            self._events.append(TLSAnswered(reply))

    def _login_answered(self, reply: Reply) -> None:
        login = self._login
        assert login is not None
        if reply.code != 334:
            outcome = login.outcome(reply)
            self._login, self.authenticated = None, outcome.positive
            self._events.append(LoginAnswered(outcome))
            return
        answer = login.answer(reply)
        if isinstance(answer, Derivation):
            self._events.append(KeyWanted(answer))
        else:
            self._ask(Phase.LOGIN, answer, self._login_answered)

    # -- a mail

    @property
    def _mail(self) -> Transaction:
        assert self._transaction is not None
        return self._transaction

    @property
    def _uses_chunks(self) -> bool:
        binary = self._mail.fitted.body is BodyType.BINARY
        return self.offers.chunking and (self._chunking or binary)

    @property
    def _pipelines_chunks(self) -> bool:
        # LMTP's last chunk has many replies: how many, after a refused one, nobody says
        return self.offers.pipelining and self._dialect is Dialect.SMTP

    def _command_mail(self, size: int) -> None:
        transaction = self._mail
        fitted = transaction.fitted
        line = mail_line(
            fitted.sender,
            self.offers,
            size=size,
            body=fitted.body,
            smtputf8=fitted.smtputf8,
            authenticated=self.authenticated,
            tls=self.tls,
        )
        self._unsent.append(Command(Phase.MAIL, line, self._mail_answered))
        for index, recipient in enumerate(fitted.recipients):
            if isinstance(recipient, Recipient):
                line = rcpt_line(recipient, self.offers, smtputf8=fitted.smtputf8)
                took = partial(self._rcpt_answered, index)
                self._unsent.append(Command(Phase.RCPT, line, took))
        if self.offers.pipelining and not (self._uses_chunks or transaction.verify):
            self._unsent.append(Command(Phase.DATA, b"DATA\r\n", self._data_answered, True))

    def _mail_answered(self, reply: Reply) -> None:
        transaction = self._mail
        if not reply.positive:
            transaction.refusal = reply
            if not self.offers.pipelining:
                self._unsent.clear()
                self._finish()

    def _rcpt_answered(self, index: int, reply: Reply) -> None:
        transaction = self._mail
        transaction.left -= 1
        if transaction.refusal is not None:
            pass  # MAIL's refusal is what everybody hears
        elif reply.positive:
            transaction.accepted.append(index)
            if transaction.verify:
                transaction.results[index] = Result(reply)
        else:
            transaction.results[index] = Result(not_too_many(reply, transaction))
        if transaction.left == 0:
            self._recipients_known(transaction)

    def _recipients_known(self, transaction: Transaction) -> None:
        """Every RCPT was answered: go on to the message, if anybody is to get it."""
        if transaction.verify:
            self._finish()
            return
        wanted = bool(transaction.accepted) and transaction.refusal is None
        if self._uses_chunks:
            if wanted:
                binary = transaction.fitted.body is BodyType.BINARY
                transaction.ends = None if binary else LineEnds()
                self._want_content(transaction)
            else:
                self._finish()
        elif not self.offers.pipelining:  # else DATA is sent already
            if wanted:
                self._ask(Phase.DATA, b"DATA\r\n", self._data_answered)
            else:
                self._finish()

    def _data_answered(self, reply: Reply) -> None:
        transaction = self._mail
        if reply.positive and reply.code != 354:
            self._out_of_step()
        elif not reply.positive:
            transaction.refusal = transaction.refusal or reply
            self._finish()
        elif transaction.accepted and transaction.refusal is None:
            transaction.stuffer = DotStuffer()
            self._want_content(transaction)
        elif self._dialect is Dialect.LMTP:
            self._out_of_step()  # it must refuse, and nobody could answer (RFC 2033 §4.2)
        else:  # nobody is to get it, so there is nothing to send (RFC 2920 §3.1)
            self._output.append(b".\r\n")
            self._sent.append(Command(Phase.END, b"", lambda _: self._finish(), True))

    def _want_content(self, transaction: Transaction) -> None:
        transaction.streaming = True
        self._events.append(ContentWanted())

    def _await_end(self, transaction: Transaction) -> None:
        if self._dialect is Dialect.LMTP:  # one reply for each (RFC 2033 §4.2)
            for index in transaction.accepted:
                took = partial(self._end_answered, (index,))
                self._sent.append(Command(Phase.END, b"", took, True))
        else:
            took = partial(self._end_answered, tuple(transaction.accepted))
            self._sent.append(Command(Phase.END, b"", took, True))

    def _chunk_answered(self, reply: Reply) -> None:
        transaction = self._mail
        if not reply.positive:
            transaction.refusal = transaction.refusal or reply
            transaction.streaming = transaction.complete = False
            if not self._sent:
                self._finish()
        elif transaction.refusal is not None:
            if not self._sent:
                self._finish()
        elif not transaction.streaming and not transaction.complete:
            self._want_content(transaction)

    def _end_answered(self, indices: tuple[int, ...], reply: Reply) -> None:
        transaction = self._mail
        for index in indices:
            transaction.results[index] = Result(transaction.refusal or reply)
        if not self._sent:
            self._finish(reset=not reply.positive)

    def _finish(self, *, reset: bool = True) -> None:
        """The transaction is over, and so is the server's once it is told (RFC 5321 §4.1.1.5)."""
        transaction = self._mail
        self._hand(transaction)
        if reset and not self._over:
            self._ask(Phase.RESET, b"RSET\r\n", self._reset_answered, barrier=False)

    def _hand(self, transaction: Transaction, *, unsure: bool = False) -> None:
        why = transaction.refusal or nonsense("it did not answer for a recipient")
        results = tuple(one or Result(why, unsure) for one in transaction.results)
        self._transaction = None
        self.transfers += 1
        self._events.append(Handed(results))

    def _reset_answered(self, reply: Reply) -> None:
        if reply.code != 250:
            self._leave(nonsense("it does not take RSET"), unanswered=True)
