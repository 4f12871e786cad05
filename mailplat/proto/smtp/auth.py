"""The AUTH command's exchange on SMTP's lines (RFC 4954 §4).

What is wrong with a line ends the exchange with a reply; what is right leads to a challenge, or to
credentials that the session has to judge.
"""

from __future__ import annotations

from mailplat.proto.sasl import exchange as sasl
from mailplat.proto.smtp import words
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.commands import Login
from mailplat.proto.smtp.input import Fault

__all__ = ["AuthExchange", "AuthStep"]

AuthStep = bytes | Login
"""A challenge, ready to go behind ``334``, or the end of the exchange."""


class AuthExchange:
    """One AUTH command.

    Args:
        mechanisms: Those offered.
        argument: What stood behind AUTH.

    Raises:
        CommandFault: The mechanism is not offered.
    """

    def __init__(self, mechanisms: sasl.Mechanisms, argument: bytes) -> None:
        name, _, initial = argument.partition(b" ")
        self._name = name.decode("latin-1").upper()
        start = mechanisms.get(self._name)
        if start is None:
            raise CommandFault(words.NO_MECHANISM)
        self._exchange = start()
        self._initial = initial.strip() or None

    def begin(self) -> AuthStep:
        """Take the initial response, if there was one.

        Raises:
            CommandFault: The exchange is over.
        """
        return self._step(sasl.begin(self._exchange, self._initial))

    def respond(self, line: bytes | Fault) -> AuthStep:
        """Take the client's next line.

        Raises:
            CommandFault: The exchange is over.
        """
        if isinstance(line, Fault):
            return self._step(sasl.Failed(sasl.Failure.TOO_LONG))
        return self._step(sasl.respond(self._exchange, line))

    def go_on(self, answer: sasl.Answer) -> AuthStep:
        """Take the session's answer to credentials that asked for more than yes or no.

        Raises:
            CommandFault: The exchange is over.
        """
        return self._step(sasl.go_on(self._exchange, answer))

    def _step(self, step: sasl.Step) -> AuthStep:
        if isinstance(step, sasl.Challenge):
            return step.line
        if isinstance(step, sasl.Failed):
            raise CommandFault(words.EXCHANGE_FAILED[step.failure])
        return Login(self._name, step)
