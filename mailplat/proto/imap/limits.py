"""What one IMAP client may make the server hold or do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection.

    Attributes:
        line_before_login: Bytes of a line, and of a literal, before log-in.
        line: Bytes of a line after log-in (RFC 7162 §4 asks for 8192; clients send 64 KiB).
        id_line: Bytes of an ID command before log-in (RFC 2971 §3.3 allows 30 fields of 1024).
        authenticate_line: Bytes of a line in a SASL exchange (RFC 4954 §3: 12288).
        literal: Bytes of a literal that is held: all but messages.
        literals: Literals in one command, messages not counted.
        command: Bytes of one command, messages not counted.
        messages: Messages in one APPEND.
        message: Bytes of one message.
        non_synchronizing: Bytes of a non-synchronizing literal; 4096 for LITERAL-
            (RFC 7888 §5), None for LITERAL+.
        drained_before_login: Bytes of a refused command that are still read before log-in;
            beyond them the connection ends.
        drained: Likewise after log-in.
        nesting: Depth of search keys.
        bad_commands: Commands answered BAD, one after the other, that end the connection.
        read_ahead: Bytes of further commands that may wait while one is being answered.
        block: Bytes of one `commands.append.AppendData` at most.
    """

    line_before_login: int = 8192
    line: int = 65536
    id_line: int = 32768
    authenticate_line: int = 12288
    literal: int = 65536
    literals: int = 100
    command: int = 262144
    messages: int = 1000
    message: int = 64 * 1024 * 1024
    non_synchronizing: int | None = None
    drained_before_login: int = 65536
    drained: int = 64 * 1024 * 1024
    nesting: int = 50
    bad_commands: int = 20
    read_ahead: int = 65536
    block: int = 65536
