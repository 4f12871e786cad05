"""The policy of an SMTP session: who may send what to whom (RFC 5321, RFC 6409, RFC 2033).

Invariants:

- No open relay: without a log-in, mail is taken for local domains alone.
- A message is answered 250 only after every recipient's copy is on stable storage, all in one
  commit; on any other way out nothing of it is stored (LMTP: decided for each recipient).
- `_reset_transaction` ends a transaction on every path, and lets go of what came of its message.
- A password is looked at only after the throttle let it pass, right or wrong.
- Every line of the log has the session's id, and what concerns a message its queue id too.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from mailplat.interfaces.filters import Context, Stage
from mailplat.interfaces.net import ILink
from mailplat.interfaces.routes import Destination, Local, Refused, Remote
from mailplat.model.account import Account
from mailplat.model.credentials import Credentials
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import AuthenticationFailed, MailError
from mailplat.model.reply import Reply
from mailplat.model.verdict import Action
from mailplat.net.shield import shielded
from mailplat.proto.smtp.commands import (
    Block,
    Data,
    Event,
    Expand,
    Hello,
    Introduce,
    Login,
    Mail,
    Rcpt,
    Reset,
    Spoiled,
    StartTLS,
    Verify,
)
from mailplat.proto.smtp.server import ServerConversation
from mailplat.proto.smtp.xclient import Introduction
from mailplat.sessions.login import LogIn
from mailplat.sessions.smtp.deciding import Deciding
from mailplat.sessions.smtp.delivery import Delivery, Parcel
from mailplat.sessions.smtp.filtering import Filtering
from mailplat.sessions.smtp.incoming import Finished, Incoming
from mailplat.sessions.smtp.options import SmtpOptions, SmtpParts
from mailplat.sessions.smtp.policy import introduced, told_of
from mailplat.sessions.smtp.submission import Submission
from mailplat.sessions.smtp.trace_fields import front, received
from mailplat.sessions.smtp.transaction import Noted, Transaction

__all__ = ["SmtpSession"]

_MUST_LOG_IN = Reply.of(530, "Authentication required", "5.7.0")
_MUST_START_TLS = Reply.of(530, "Must issue a STARTTLS command first", "5.7.0")
_NO_RELAY = Reply.of(550, "Relaying denied", "5.7.1")
_NO_SPOOL = Reply.of(550, "This server sends no mail to other servers", "5.7.1")
_AUTH_UNAVAILABLE = Reply.of(454, "Temporary authentication failure", "4.7.0")
_NO_SUCH_LOGIN = Reply.of(550, "There is nobody of that name here", "5.7.1")
_TOO_MANY = Reply.of(421, "Too many connections; please try again later", "4.7.0")


class SmtpSession:
    """One client's session (the shape is `mailplat.net.session.Session`).

    Args:
        conversation: What the client says and is told.
        link: The connection.
        parts: What all sessions share.
        options: What this listener does.
    """

    log = Logger()

    def __init__(
        self,
        conversation: ServerConversation,
        link: ILink,
        parts: SmtpParts,
        options: SmtpOptions,
    ) -> None:
        self._conversation = conversation
        self._link = link
        self._parts = parts
        self._options = options
        self._context = self._new_context()
        self._submission = Submission(parts.routes, options.submissions, options.hostname)
        self._begin_filtering()
        self._log_ins = LogIn(parts.log_ins, link)
        self._delivery = Delivery(parts.store, parts.spool, parts.hooks)
        self._transaction = Transaction()
        self._incoming: Incoming | None = None
        self._extended = False

    def _new_context(self) -> Context:
        protocol = "lmtp" if self._options.lmtp else "smtp"
        return Context(
            self._link.session_id, self._options.listener, self._link.peer, protocol=protocol
        )

    def _begin_filtering(self) -> None:
        parts, options = self._parts, self._options
        self._filters = Filtering(parts.chains, self._context)
        self._conversation.refused = self._told
        self._deciding = Deciding(
            self._context, self._filters, self._submission, parts.routes, options
        )

    def _told(self, refusal: Reply) -> None:
        self._filters.told(refusal, self._conversation.unknown)

    async def opened(self) -> None:
        """Greet, or turn the client away (RFC 5321 §3.1)."""
        self._conversation.proxy = self._link.peer.address in self._options.policy.proxies
        self._context.spoke_early = lambda: self._conversation.early
        refusal = await self._filters.ask_before_mail(Stage.CONNECT)
        if refusal is not None:
            code = 421 if refusal.transient else 554
            refusal = Reply(code, refusal.lines, refusal.status)
        self._context.spoke_early = None
        self._conversation.greet(refusal)

    async def answer(self, event: Event) -> None:
        """Do what is asked.

        Raises:
            MailError: It cannot be done; the connection tells the client.
        """
        self._filters.begin(event, self._transaction.queue_id)
        try:
            match event:
                case Block():
                    await self._receive(event)
                case Rcpt(recipient):
                    self._reply(await self._recipient(recipient))
                case Mail(sender):
                    await self._mail(sender)
                case Data():
                    self._begin_message()
                case Hello(verb, name):
                    await self._hello(verb, name)
                case Reset() | Spoiled():
                    self._reset_transaction(event.reply if isinstance(event, Spoiled) else None)
                    self._conversation.accept()
                case StartTLS():
                    self._start_tls()
                case Login(mechanism, credentials):
                    await self._log_in(mechanism, credentials)
                case Verify() | Expand():
                    policy, account = self._options.policy, self._context.account
                    told = await told_of(event, policy, account, self._parts.routes)
                    self._reply(self._must_log_in() or told)
                case Introduce(introduction):
                    await self._introduce(introduction)
        except BaseException:
            if isinstance(event, Block):
                self._reset_transaction()
            raise
        self._filters.begin(None)

    async def closed(self) -> None:
        """Let go of a message that will never be complete, and tell the filters."""
        self._log_ins.drop()
        self._reset_transaction()
        await self._filters.end()

    # -- small things

    def _reply(self, refusal: Reply | None) -> None:
        """Accept the event, or refuse it."""
        if refusal is None:
            self._conversation.accept()
        else:
            self._conversation.answer(refusal)

    def _must_log_in(self) -> Reply | None:
        if not self._options.submission or self._context.account is not None:
            return None
        return _MUST_LOG_IN if self._conversation.auth_possible else _MUST_START_TLS

    def _reset_transaction(self, refused: Reply | None = None) -> None:
        """Forget the mail under way, however it ended."""
        if self._incoming is not None:
            if refused is not None:
                self._log_refusal(refused)
            self._incoming.close()
            self._incoming = None
        context = self._context
        if not (context.sender or context.recipients or context.tags or context.scores):
            return  # nothing was begun
        context.sender = None
        context.recipients.clear()
        context.tags.clear()
        context.scores.clear()
        self._transaction = Transaction()

    # -- who is there

    async def _hello(self, verb: str, name: str) -> None:
        self._context.peer = self._link.peer
        refusal = await self._filters.ask_before_mail(Stage.HELLO, name)
        if refusal is None:
            self._reset_transaction()
            self._context.helo = name
            self._extended = verb != "HELO"
            self._conversation.accept(now=int(self._parts.now()))
        else:
            self._conversation.answer(refusal)

    async def _introduce(self, introduction: Introduction) -> None:
        """Begin anew with the client that a trusted proxy names; its filters begin anew too."""
        account = None
        if introduction.login:
            account = await self._parts.log_ins.accounts.find_account(introduction.login)
            if account is None or not account.enabled:
                self._conversation.answer(_NO_SUCH_LOGIN)
                return
        if not self._link.speak_for(introduced(self._link.peer, introduction)):
            self._conversation.answer(_TOO_MANY)
            return
        self._reset_transaction()
        await self._filters.end()
        self._context = self._new_context()
        self._context.account = account
        self._context.helo = introduction.helo or ""
        self._begin_filtering()
        self._extended = introduction.protocol != "SMTP"
        refusal = await self._filters.ask_before_mail(Stage.CONNECT)
        if refusal is None:
            self._conversation.accept()
        else:  # the proxy may try again, the client may not
            self._conversation.answer(Reply(421, refusal.lines, "4.7.0"))

    def _start_tls(self) -> None:
        """Everything that the client said is forgotten (RFC 3207 §4.2)."""
        self._reset_transaction()
        self._context.helo = ""
        self._context.account, self._context.mechanism = None, ""
        self._filters.forget_client()
        self._conversation.accept()
        self._link.start_tls()

    async def _log_in(self, mechanism: str, credentials: Credentials) -> None:
        try:
            outcome = await self._log_ins.judge(credentials)
        except AuthenticationFailed as error:
            refusal = Reply.to_error(error)
            self._conversation.answer(self._filters.by("accounts", refusal, error.reason))
        except MailError as error:
            refusal = _AUTH_UNAVAILABLE  # RFC 4954 §6
            self._conversation.answer(self._filters.by("accounts", refusal, error.reason))
        else:
            if isinstance(outcome, Account):
                self._reply(await self._logged_in(outcome, mechanism))
            else:
                self._conversation.continue_login(outcome)

    async def _logged_in(self, account: Account, mechanism: str) -> Reply | None:
        refusal = await self._filters.ask_before_mail(Stage.AUTH, account)
        if refusal is not None:
            return refusal
        self._context.account, self._context.mechanism = account, mechanism
        self._link.authenticated()
        self.log.info(
            "{session}: {account} logged in from {address}",
            session=self._link.session_id,
            account=account.name,
            address=self._link.peer.address,
        )
        return None

    # -- the envelope

    async def _mail(self, sender: Sender) -> None:
        self._reset_transaction()
        context, now = self._context, int(self._parts.now())
        sender, answer = self._options.policy.judge(sender, context.account, context.peer, now)
        refusal = (
            self._must_log_in()
            or (answer if answer is not None and not answer.positive else None)
            or self._parts.rates.refusal(context.account, context.peer, 1)
            or await self._submission.sender_refusal(context.account, sender.address)
        )
        if refusal is None:
            self._context.sender = sender
            self._transaction.sender = sender.address
            self._filters.begin_mail(self._transaction.noted)
            refusal = await self._filters.ask(Stage.SENDER, self._transaction.noted, sender)
        if refusal is not None:
            self._reset_transaction()
        self._reply(refusal or answer)

    async def _recipient(self, recipient: Recipient) -> Reply | None:
        transaction, routes = self._transaction, self._parts.routes
        local = routes.is_local_domain(recipient.address.domain)
        if self._context.account is None and not local:
            return self._filters.by("routes", _NO_RELAY)
        destinations = await routes.route(recipient.address, transaction.sender)
        noted = Noted()
        refusal = self._parts.rates.refusal(
            self._context.account, self._context.peer, len(transaction.accepted) + 1
        )
        if refusal is not None:
            self._filters.by("limits", refusal)
        refusal = refusal or await self._unreachable(destinations)
        if refusal is None:
            refusal = await self._filters.ask(Stage.RECIPIENT, noted, recipient)
        if refusal is not None:
            self.log.info(
                "{session}: refused <{recipient}>: {code} {status} {text}",
                session=self._link.session_id,
                recipient=str(recipient.address),
                code=refusal.code,
                status=refusal.status,
                text=refusal.text,
            )
            return refusal
        transaction.accepted.append(recipient)
        if noted.action is Action.DISCARD:  # for this recipient alone
            transaction.destinations[recipient] = ()
        else:
            transaction.noted.merge(noted)
            transaction.destinations[recipient] = destinations
            self._context.recipients.append(recipient)
        return None

    async def _unreachable(self, destinations: Sequence[Destination]) -> Reply | None:
        """Tell why mail cannot go where it leads; of a list, some members may be refused."""
        refusal: Reply | None = None
        sender = self._context.sender
        size = sender.size if sender is not None else None
        for destination in destinations:
            match destination:
                case Local(account):
                    over = await self._delivery.over_quota(account.name, size)
                    if over is not None:
                        return self._filters.by("limits", over)
                case Remote(_, agent):
                    if self._parts.spool is None or agent not in self._parts.agents:
                        return self._filters.by("routes", _NO_SPOOL)
                case Refused(reply):
                    refusal = refusal or reply
        if refusal is None or not all(isinstance(one, Refused) for one in destinations):
            return None
        return self._filters.by("routes", refusal)

    # -- the message

    def _begin_message(self) -> None:
        transaction = self._transaction
        refusal = self._parts.rates.take(
            self._context.account, self._context.peer, len(transaction.accepted)
        )
        if refusal is not None:
            self._conversation.answer(self._filters.by("limits", refusal))
            return
        transaction.queue_id = self._parts.new_queue_id()
        transaction.front = front(self._context)
        fields = transaction.front + received(
            self._context,
            self._link.peer,
            transaction,
            host=self._options.hostname,
            extended=self._extended,
            seconds=int(self._parts.now()),
        )
        transaction.trace = len(fields)
        self._incoming = Incoming(self._parts.intakes.open_intake(), fields, self._options.scan)
        self._conversation.accept()

    async def _receive(self, block: Block) -> None:
        """Take the next bytes of the message; decide, once they were the last."""
        incoming = self._incoming
        assert incoming is not None
        asked = incoming.header is not None
        await incoming.receive(block.data)
        refusal = None
        if incoming.header is not None and not asked:
            refusal = await self._filters.ask(
                Stage.HEADERS, self._transaction.noted, incoming.header
            )
        if refusal is not None:
            self._reset_transaction(refusal)
            self._conversation.answer(refusal)
        elif block.last:
            replies = await self._decide(incoming)
            self._reset_transaction()
            self._conversation.answer(*replies)
        else:
            self._conversation.accept()

    async def _decide(self, incoming: Incoming) -> Sequence[Reply]:
        """The message is complete: say what becomes of it, and see to it."""
        message = await incoming.finish()
        transaction, now = self._transaction, int(self._parts.now())
        noted, parcel = transaction.noted, None
        try:
            refusal, message = await self._deciding.filtered(transaction, message, now)
            if refusal is None and noted.action is not Action.DISCARD:
                parcel = await self._deciding.parcel(transaction, message, now)
        finally:
            if parcel is None:
                message.body.close()
        if refusal is not None:
            self._log_refusal(refusal)
            return (refusal,)
        if parcel is None:
            self._log_fate("discarded", message, noted.reason)
            return (self._taken(),)
        try:
            return await self._deliver(parcel)
        except MailError as error:
            refusal = Reply.to_error(error)
            self._log_refusal(refusal, error.reason)
            return (refusal,)

    async def _deliver(self, parcel: Parcel) -> Sequence[Reply]:
        """Store the message; the answers are in the order of the accepted recipients."""
        if not self._options.lmtp:
            await shielded(self._delivery.deliver(parcel))
            self._log_fate("accepted", parcel.message)
            return (self._taken(),)
        outcomes = await shielded(self._delivery.deliver_each(parcel))
        self._log_fate("accepted", parcel.message)
        outcomes.update(self._transaction.refused)
        return [outcomes.get(one) or self._taken() for one in self._transaction.accepted]

    def _taken(self) -> Reply:
        return Reply.of(250, f"Ok: queued as {self._transaction.queue_id}", "2.0.0")

    def _log_fate(self, fate: str, message: Finished, reason: str = "") -> None:
        context = self._context
        self.log.info(
            "{session} {queue_id}: {fate} from <{sender}> to {recipients}, {size} bytes{reason}",
            session=self._link.session_id,
            queue_id=self._transaction.queue_id,
            fate=fate,
            sender=(context.sender and context.sender.address) or "",
            recipients=" ".join(f"<{one.address}>" for one in self._transaction.accepted),
            size=message.summary.size,
            reason=reason and f": {reason}",
        )

    def _log_refusal(self, refusal: Reply, reason: str = "") -> None:
        self.log.info(
            "{session} {queue_id}: refused: {code} {status} {text}{reason}",
            session=self._link.session_id,
            queue_id=self._transaction.queue_id,
            code=refusal.code,
            status=refusal.status,
            text=refusal.text,
            reason=reason and f": {reason}",
        )
