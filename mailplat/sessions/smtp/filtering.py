"""A session's side of the filters: asks them, notes what they want, and tells who watches refusals.

Invariant: every refusal that the client is told is told to the chain once, with who made it: a
filter by its name, else a part of the server.
"""

from __future__ import annotations

from mailplat.interfaces.filters import Context, IChains, Mail, Stage
from mailplat.interfaces.hooks import Denial
from mailplat.model.envelope import Recipient
from mailplat.model.reply import Reply
from mailplat.proto.smtp.commands import Block, Data, Event, Hello, Login, Rcpt
from mailplat.proto.smtp.commands import Mail as MailCommand
from mailplat.sessions.smtp.transaction import Noted

__all__ = ["Filtering"]

_STAGES: dict[type[Event], Stage] = {
    Hello: Stage.HELLO,
    Login: Stage.AUTH,
    MailCommand: Stage.SENDER,
    Rcpt: Stage.RECIPIENT,
    Data: Stage.HEADERS,
    Block: Stage.MESSAGE,
}


class Filtering:
    """The filters of one connection.

    Args:
        chains: The listener's.
        context: What is known of the connection.
    """

    def __init__(self, chains: IChains, context: Context) -> None:
        self._chain = chains.open_chain(context)
        self._before_mail: dict[Stage, Noted] = {}
        self._event: Event | None = None
        self._queue_id = ""
        self._made_by: tuple[Reply, str, str] | None = None

    # -- asking

    def wants(self, stage: Stage) -> bool:
        """Tell whether any filter wants to be asked at a stage."""
        return self._chain.wants(stage)

    async def ask(self, stage: Stage, noted: Noted, *subject: object) -> Reply | None:
        """Ask the filters; give their refusal, or note what else they want."""
        verdict = await self._chain.ask(stage, *subject)
        refusal = noted.add(verdict)
        if refusal is not None:
            for one in subject:
                if isinstance(one, Mail):
                    self._queue_id = one.queue_id
            return self.by(verdict.by, refusal, verdict.reason)
        return None

    async def ask_before_mail(self, stage: Stage, *subject: object) -> Reply | None:
        """Ask about the connection; what filters want holds until they are asked again."""
        noted = self._before_mail[stage] = Noted()
        return await self.ask(stage, noted, *subject)

    def begin_mail(self, noted: Noted) -> None:
        """Put down for a mail what filters wanted of every mail to come."""
        for one in self._before_mail.values():
            noted.merge(one)

    def forget_client(self) -> None:
        """TLS begins: what was said before is forgotten."""
        self._before_mail.pop(Stage.HELLO, None)
        self._before_mail.pop(Stage.AUTH, None)

    async def end(self) -> None:
        """The connection is over."""
        await self._chain.ask(Stage.DISCONNECT)

    # -- refusals

    def begin(self, event: Event | None, queue_id: str = "") -> None:
        """Note what is being answered; None for what the conversation answers by itself."""
        self._event, self._queue_id = event, queue_id

    def by(self, who: str, refusal: Reply, reason: str = "") -> Reply:
        """Note who made a refusal that is about to be told; give it back."""
        self._made_by = refusal, who, reason
        return refusal

    def told(self, refusal: Reply, line: bytes = b"") -> None:
        """The client is told a refusal, maybe of a line that is no command we know."""
        event, recipient = self._event, None
        who, reason = "protocol" if event is None else "session", ""
        if self._made_by is not None and self._made_by[0] == refusal:
            _, who, reason = self._made_by
            self._made_by = None
        if isinstance(event, Rcpt):
            recipient = Recipient(event.recipient.address)
        stage = "" if event is None else _STAGES.get(type(event), "")
        self._chain.deny(Denial(who, refusal, reason, stage, recipient, self._queue_id, line))
