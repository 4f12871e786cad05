"""How we speak to a server that we bring mail to, and how long each answer is waited for."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailplat.proto.smtp.client_events import Phase
from mailplat.proto.smtp.offers import Dialect
from mailplat.proto.smtp.reply_reader import ReplyLimits

__all__ = ["ChannelOptions"]


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """How to speak, and how long to wait.  Times are in seconds.

    Attributes:
        name: Our own host name, for EHLO.
        dialect: SMTP or LMTP.
        chunking: Whether to use BDAT where it is offered.
        reply_limits: What one reply may be.
        handshake: For TLS.
        greeting: For the server's first words (RFC 5321 §4.5.3.2.1).
        command: For the answer to EHLO, STARTTLS, AUTH, MAIL and RCPT (§4.5.3.2.2, §4.5.3.2.3).
        data: For the answer to DATA or BDAT (§4.5.3.2.4).
        block: For the server to read a block (§4.5.3.2.5).
        end: For the answer to the message (§4.5.3.2.6).
        idle: For our own next mail; then QUIT is said.
        farewell: For the answers to RSET and QUIT.
    """

    name: str
    dialect: Dialect = Dialect.SMTP
    chunking: bool = True
    reply_limits: ReplyLimits = field(default_factory=ReplyLimits)
    handshake: float = 60.0
    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    idle: float = 5.0
    farewell: float = 10.0

    def patience(self) -> dict[Phase, float]:
        """Tell how long each phase may take, in seconds."""
        return {
            Phase.GREETING: self.greeting,
            Phase.HELLO: self.command,
            Phase.STARTTLS: self.command,
            Phase.LOGIN: self.command,
            Phase.IDLE: self.idle,
            Phase.MAIL: self.command,
            Phase.RCPT: self.command,
            Phase.DATA: self.data,
            Phase.CONTENT: self.block,
            Phase.CHUNK: self.data,
            Phase.END: self.end,
            Phase.RESET: self.farewell,
            Phase.QUIT: self.farewell,
        }
