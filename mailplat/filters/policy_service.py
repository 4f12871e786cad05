"""Asks a policy service as Postfix does (SMTPD_POLICY_README): postgrey, policyd and their like.

Invariants:

- A mail passes only on an action that says so; what cannot be done here fails the filter.
- What an action means for the mail as a whole (DISCARD, REDIRECT, BCC) is done when its message is
  complete, whichever recipient it was said of.
- A question that was put to a connection which the service had closed is put once more, to a new
  one; nothing else is asked twice.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from hashlib import sha256
from itertools import count

import attrs
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.config.option import option
from mailplat.config.values import Duration, duration
from mailplat.filters.milter_macros import of_connection
from mailplat.filters.scanning import client_name
from mailplat.interfaces.filters import Context, IFilter, IStages, Mail, Stage, Stages
from mailplat.interfaces.plugins import FilterSettings
from mailplat.model.envelope import Recipient, Sender
from mailplat.model.errors import Unavailable
from mailplat.model.verdict import (
    CONTINUE,
    Action,
    AddRecipient,
    Change,
    RemoveRecipient,
    Verdict,
)
from mailplat.net.daemon import Daemon
from mailplat.proto.policy_service import (
    END,
    MOST_ANSWER,
    Doing,
    PolicyAnswer,
    read_answer,
    request,
)

__all__ = ["PolicyServiceFilter", "PolicyServiceOptions"]

_log = Logger()


class AskedAt(StrEnum):
    """A stage, by the name of Postfix's restriction list."""

    CLIENT = "client"
    HELO = "helo"
    SENDER = "sender"
    RECIPIENT = "recipient"
    DATA = "data"
    END_OF_DATA = "end_of_data"


_STAGES = {
    AskedAt.CLIENT: Stage.CONNECT,
    AskedAt.HELO: Stage.HELLO,
    AskedAt.SENDER: Stage.SENDER,
    AskedAt.RECIPIENT: Stage.RECIPIENT,
    AskedAt.DATA: Stage.HEADERS,
    AskedAt.END_OF_DATA: Stage.MESSAGE,
}
_REFUSED = {Doing.REJECT: Action.REJECT, Doing.DEFER: Action.DEFER}


@attrs.frozen(kw_only=True)
class PolicyServiceOptions:
    """How a policy service is asked."""

    stages: tuple[AskedAt, ...] = option(
        (AskedAt.RECIPIENT,),
        meaning="The stages at which it is asked, by the names of Postfix's restriction lists.",
        precedent="Postfix: check_policy_service in smtpd_recipient_restrictions",
    )
    connections: int = option(
        100,
        unit="connections",
        least=1,
        meaning="How many questions are asked at once; others wait for their turn.",
        precedent="Postfix default_process_limit (100): there, a process each",
    )
    connect_timeout: Duration = option(
        duration("5s"),
        least=0.01,
        meaning="How long connecting may take, and how long finding the client's name.",
        precedent="Postfix smtpd_policy_service_timeout (100 s) is longer than a client waits",
    )
    time: Duration = option(
        duration("20s"),
        least=0.01,
        meaning="How long an answer may take. The filter's own `timeout` (30 s) should be longer.",
        precedent="Postfix smtpd_policy_service_timeout (100 s)",
    )
    idle_connections: int = option(
        10,
        unit="connections",
        least=0,
        meaning="How many connections wait for the next question.",
    )
    idle_timeout: Duration = option(
        duration("5m"),
        least=0.01,
        meaning="How long a connection waits for the next question.",
        precedent="Postfix smtpd_policy_service_max_idle (300 s)",
    )
    context: str = option(
        "",
        meaning="What the service is told as `policy_context`, to tell who asks.",
        precedent="Postfix smtpd_policy_service_policy_context (empty)",
    )


@implementer(IFilter)
class PolicyServiceFilter:
    """Does what a policy service says.

    Args:
        name: What log lines call it.
        where: The service's endpoint.
        options: When it is asked, and the limits.
        settings: The reactor, our name, and the resolver that finds the client's.

    Raises:
        ConfigurationFault: The endpoint cannot be read.
    """

    def __init__(
        self, name: str, where: str, options: PolicyServiceOptions, settings: FilterSettings
    ) -> None:
        self.name = name
        # with the message is done what was said of recipients
        wanted = {_STAGES[one] for one in options.stages} | {Stage.MESSAGE, Stage.SENDER}
        self.stages = tuple(stage for stage in Stage if stage in wanted)
        self.options = options
        self.settings = settings
        self._daemon = Daemon(
            settings.reactor,
            where,
            connections=options.connections,
            connect=options.connect_timeout,
            most=MOST_ANSWER,
            idle=options.idle_connections,
            idle_seconds=options.idle_timeout,
        )

    def open(self) -> IStages:
        """See `IFilter.open`."""
        return _Asking(self)

    async def close(self) -> None:
        """Close the connections that wait."""
        await self._daemon.close()

    async def ask(self, state: str, question: bytes) -> PolicyAnswer:
        """Ask one question.

        Raises:
            Unavailable: There is no answer that can be used.
        """
        try:
            return await self._ask(state, question, new=False)
        except _Stale:
            return await self._ask(state, question, new=True)

    async def _ask(self, state: str, question: bytes, *, new: bool) -> PolicyAnswer:
        options, keep = self.options, False
        talk = await self._daemon.take(options.connect_timeout, new=new)
        try:
            talk.limit(options.time, state)
            try:
                await talk.send(question)
                data = await talk.until(END)
            except Unavailable:
                if talk.reused and talk.closed:
                    raise _Stale from None
                raise
            try:
                answer = read_answer(data)
            except Unavailable as error:
                reason = f"{self._daemon.where}: {state}: {error.reason}"
                raise Unavailable(reason) from None
            keep = True
            return answer
        finally:
            await self._daemon.give_back(talk, keep=keep)


class _Stale(Exception):
    """The connection was closed while it waited: the question was never read."""


@implementer(IStages)
class _Asking(Stages):
    """One SMTP connection."""

    def __init__(self, whole: PolicyServiceFilter) -> None:
        self._whole = whole
        self._client: str | None = None
        self._mails = count(1)
        self._instance = ""
        self._later: list[PolicyAnswer] = []

    async def connect(self, context: Context) -> Verdict:
        """Ask about the client."""
        return await self._ask(AskedAt.CLIENT, "CONNECT", context)

    async def hello(self, context: Context, name: str) -> Verdict:
        """Ask about HELO's name."""
        return await self._ask(AskedAt.HELO, "EHLO", context, helo=name)

    async def sender(self, context: Context, sender: Sender) -> Verdict:
        """Ask about the sender."""
        self._later = []
        self._instance = f"{context.session_id}.{next(self._mails)}"
        return await self._ask(AskedAt.SENDER, "MAIL", context)

    async def recipient(self, context: Context, recipient: Recipient) -> Verdict:
        """Ask about a recipient."""
        return await self._ask(AskedAt.RECIPIENT, "RCPT", context, recipient=recipient)

    async def headers(self, context: Context, header: bytes) -> Verdict:
        """Ask about the mail before its message."""
        return await self._ask(AskedAt.DATA, "DATA", context)

    async def message(self, context: Context, mail: Mail) -> Verdict:
        """Ask about the message, and do what was said of its recipients."""
        verdict = await self._ask(AskedAt.END_OF_DATA, "END-OF-MESSAGE", context, mail=mail)
        later, self._later = self._later, []
        if not later or verdict.action in (Action.REJECT, Action.DEFER):
            return verdict
        return _as_a_whole(verdict, later, context)

    async def _ask(
        self,
        stage: AskedAt,
        state: str,
        context: Context,
        *,
        helo: str = "",
        recipient: Recipient | None = None,
        mail: Mail | None = None,
    ) -> Verdict:
        whole = self._whole
        if stage not in whole.options.stages:
            return CONTINUE
        if self._client is None:
            seconds = whole.options.connect_timeout
            self._client = await client_name(context, whole.settings, seconds)
        about = self._attributes(state, context, helo or context.helo, recipient, mail)
        answer = await whole.ask(state, request(about))
        return self._obey(answer, state, context)

    def _attributes(
        self,
        state: str,
        context: Context,
        helo: str,
        recipient: Recipient | None,
        mail: Mail | None,
    ) -> dict[str, str]:
        sender, peer = context.sender, context.peer
        known = of_connection(context, self._whole.settings.hostname, self._client or "")
        single = recipient.address if recipient is not None else None
        if mail is not None and len(mail.envelope.recipients) == 1:
            single = mail.envelope.recipients[0].address
        size = mail.body.size if mail is not None else (sender.size if sender is not None else 0)
        certificate = peer.tls.client_certificate if peer.tls is not None else None
        counted = state in ("DATA", "END-OF-MESSAGE")
        return {
            "protocol_state": state,
            "protocol_name": "LMTP" if context.protocol == "lmtp" else "ESMTP",
            "helo_name": helo,
            "queue_id": mail.queue_id if mail is not None else "",
            "sender": str(sender.address or "") if sender is not None else "",
            "recipient": str(single) if single is not None else "",
            "recipient_count": str(len(context.recipients) if counted else 0),
            "client_address": peer.address,
            "client_name": known["{client_name}"],
            "reverse_client_name": known["{client_ptr}"],
            "client_port": str(peer.port),
            "instance": self._instance or context.session_id,
            "sasl_method": context.mechanism,
            "sasl_username": context.account.name if context.account is not None else "",
            "sasl_sender": (sender.auth or "") if sender is not None else "",
            "size": str(size or 0),
            "ccert_subject": known.get("{cert_subject}", ""),
            "ccert_issuer": known.get("{cert_issuer}", ""),
            "ccert_fingerprint": sha256(certificate).hexdigest() if certificate else "",
            "encryption_protocol": known.get("{tls_version}", ""),
            "encryption_cipher": known.get("{cipher}", ""),
            "etrn_domain": "",
            "stress": "",
            "policy_context": self._whole.options.context,
            "server_address": peer.local_address,
            "server_port": str(peer.local_port),
        }

    def _obey(self, answer: PolicyAnswer, state: str, context: Context) -> Verdict:
        reason = f"policy service: {answer.doing.value} at {state}: {answer.text}".rstrip(": ")
        match answer.doing:
            case Doing.CONTINUE:
                return CONTINUE
            case Doing.REJECT | Doing.DEFER:
                return Verdict(_REFUSED[answer.doing], answer.reply, reason=reason)
            case Doing.HOLD:
                return Verdict.hold(reason)
            case Doing.PREPEND:
                assert answer.field is not None
                return Verdict(changes=(answer.field,))
            case Doing.NOTE:
                _log.info(
                    "{session} {filter}: {reason}",
                    session=context.session_id,
                    filter=self._whole.name,
                    reason=reason,
                )
                return CONTINUE
            case Doing.DISCARD | Doing.REDIRECT | Doing.BCC:
                self._later.append(answer)
                return CONTINUE


def _as_a_whole(verdict: Verdict, later: list[PolicyAnswer], context: Context) -> Verdict:
    """Do with the mail what was said of one of its recipients."""
    if any(one.doing is Doing.DISCARD for one in later):
        return Verdict(Action.DISCARD, reason="policy service: discard")
    changes: list[Change] = list(verdict.changes)
    redirected = [one.address for one in later if one.doing is Doing.REDIRECT]
    if redirected and redirected[-1] is not None:
        # the new one first: at no moment is there none
        changes.append(AddRecipient(redirected[-1]))
        changes += [
            RemoveRecipient(one.address)
            for one in context.recipients
            if one.address.key != redirected[-1].key
        ]
    changes += [
        AddRecipient(one.address)
        for one in later
        if one.doing is Doing.BCC and one.address is not None
    ]
    return replace(verdict, changes=tuple(changes))
