"""Lists of ``tag=value``, as DKIM, DMARC and ARC write them (RFC 6376 §3.2)."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64

__all__ = ["base64_value", "quoted_value", "tag_list", "without_value", "words"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BLANKS = re.compile(r"[ \t\r\n]+")
_FWS = " \t\r\n"


def tag_list(text: bytes) -> dict[str, str]:
    """Read a list of tags; blanks around names and values are left out.

    Raises:
        ValueError: It is none, or names a tag twice.
    """
    tags: dict[str, str] = {}
    parts = text.decode("utf-8").split(";")
    if len(parts) > 1 and not parts[-1].strip(_FWS):
        parts.pop()  # a semicolon may end the list
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(_FWS)
        if not equals or not _NAME.fullmatch(name) or name in tags:
            raise ValueError("not a list of tags")
        tags[name] = value.strip(_FWS)
    return tags


def words(value: str) -> list[str]:
    """Take apart a list with colons, in lower case."""
    return [word.strip(_FWS).lower() for word in value.split(":")]


def base64_value(value: str) -> bytes:
    """Decode base64, in which blanks do not count (RFC 6376 §2.10).

    Raises:
        ValueError: It is none.
    """
    try:
        return a2b_base64(_BLANKS.sub("", value).encode("ascii"), strict_mode=True)
    except Error as error:
        raise ValueError("not base64") from error


def quoted_value(value: str) -> str:
    """Decode the quoted-printable of DKIM, in which blanks do not count (RFC 6376 §2.11)."""
    plain = _BLANKS.sub("", value)
    if "=" not in plain:
        return plain
    data = re.sub(
        rb"=([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), plain.encode()
    )
    return data.decode("utf-8", "replace")


_B = re.compile(rb"((?:^|;)[ \t\r\n]*+b[ \t\r\n]*+=)[^;]*+")


def without_value(field: bytes, value_at: int) -> bytes:
    """Empty the tag ``b`` of a signature's field, and take its line end (RFC 6376 §3.7).

    Args:
        field: The field, in whichever form.
        value_at: Where its value begins, behind the colon.
    """
    value = _B.sub(rb"\1", field[value_at:], count=1)
    return field[:value_at] + value.removesuffix(b"\n").removesuffix(b"\r")
