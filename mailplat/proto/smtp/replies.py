"""Replies as bytes (RFC 5321 §4.2, RFC 2034 §4).

Whatever text a session or a filter gives, what goes out is well-formed: ASCII without control
characters, no line above 512 bytes, and an enhanced status code that agrees with the reply code.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mailplat.model.reply import Reply

__all__ = ["format_reply"]

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_UNPRINTABLE = re.compile(r"[^ -~]")
_LINE = 500  # bytes of text: leaves room for code and CRLF (RFC 5321 §4.5.3.1.5)


@lru_cache(256)
def format_reply(reply: Reply, *, enhanced: bool = True) -> bytes:
    """Spell a reply with its line ends.

    Args:
        reply: What to say.
        enhanced: Whether a status code must stand there, so that a missing one is filled in;
            not so in greetings and answers to EHLO and HELO (RFC 2034 §4).
    """
    code, status = reply.code, reply.status
    prefix = ""
    if not 300 <= code < 400:
        if _STATUS.fullmatch(status) and status[0] == str(code)[0]:
            prefix = status + " "
        elif enhanced:
            prefix = f"{code // 100}.0.0 "
    room = _LINE - len(prefix)
    lines = [prefix + _UNPRINTABLE.sub("?", line)[:room] for line in reply.lines or ("",)]
    text = [f"{code}-{line}\r\n" for line in lines[:-1]]
    text.append(f"{code} {lines[-1]}\r\n")
    return "".join(text).encode("ascii")
