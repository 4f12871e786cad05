"""The arguments of EHLO, MAIL and RCPT (RFC 5321 §4.1.2, RFC 6531 §3.3, RFC 3461 §4).

Bytes of one command line in, values of `model` out.  What cannot be taken raises `CommandFault`,
which holds the reply.  Strict where the RFCs are, but for blanks behind the colon of ``FROM:`` and
``TO:``, which many clients send, and for the lengths of §4.5.3.1.1, which bind only senders.

The patterns match each character in one way only, so no argument costs more than its length.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from mailplat.model.address import Address
from mailplat.model.envelope import BodyType, Notify, Recipient, Return, Sender
from mailplat.model.errors import TooBig
from mailplat.model.reply import Reply
from mailplat.proto.smtp.command_fault import CommandFault
from mailplat.proto.smtp.command_fault import fault as _fault
from mailplat.proto.smtp.offers import Limits, Offers
from mailplat.proto.smtp.timing import (
    parse_by,
    parse_hold_for,
    parse_hold_until,
    parse_priority,
)

__all__ = ["CommandFault", "decode_xtext", "parse_hello", "parse_mail", "parse_path", "parse_rcpt"]

_MAX_DOMAIN = 255  # bytes (RFC 5321 §4.5.3.1.2)
_MAX_LABEL = 63  # characters (RFC 1035 §2.3.4)
_MAX_ENVID = 100  # characters of xtext (RFC 3461 §4.4)
_MAX_ORCPT = 500  # characters with the type (RFC 3461 §4.2)

_UTF8 = "\u0080-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_UTF8}]+"
_QUOTED = rf'"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*"'
_LABEL = rf"[A-Za-z0-9{_UTF8}](?:-*[A-Za-z0-9{_UTF8}])*"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[[!-Z^-~]+\]"
_MAILBOX = rf"({_ATOM}(?:\.{_ATOM})*|{_QUOTED})@({_DOMAIN}|{_LITERAL})"
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"  # accepted and ignored (RFC 5321 App. C)
_REST = r"(?: +(.*))?"
# only the words are matched in any case: with the classes it would take 0.1 s to compile
_MAIL = re.compile(rf"(?i:FROM:) *<(?:{_ROUTE}{_MAILBOX})?>{_REST}")
_RCPT = re.compile(rf"(?i:TO:) *<(?:{_ROUTE}{_MAILBOX}|((?i:postmaster)))>{_REST}")
_MAIL_VERB = re.compile(r"FROM:", re.IGNORECASE)
_RCPT_VERB = re.compile(r"TO:", re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"\\(.)")
_PARAMETER = re.compile(rf"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~{_UTF8}]+))?")
_HELLO = re.compile(r"([!-~]{1,255})(?: .*)?")  # what follows the name is passed over (§4.1.1.1)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_HEXCHAR = re.compile(rb"\+([0-9A-F]{2})")
_ADDR_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]+")
_UNICODE_CHAR = re.compile(r"\\x\{(10[0-9A-F]{4}|[1-9A-F][0-9A-F]{1,4})\}")  # RFC 6533 §3


def parse_hello(argument: bytes) -> str:
    """Read the client's name, leniently: it is for the trace alone (RFC 5321 §4.1.4)."""
    match = _HELLO.fullmatch(argument.decode("latin-1"))
    if match is None:
        raise _fault(501, "5.5.4", "A host name is needed")
    return match[1]


def parse_mail(argument: bytes, offers: Offers, limits: Limits, *, tls: bool) -> Sender:
    """Read what follows MAIL.

    Args:
        argument: From ``FROM:`` on.
        offers: Which parameters there are.
        limits: For SIZE.
        tls: Whether TLS protects the connection, for REQUIRETLS.

    Raises:
        CommandFault: It cannot be taken.
    """
    text = _text(argument)
    match = _MAIL.fullmatch(text)
    if match is None:
        if _MAIL_VERB.match(text) is None:
            raise _fault(501, "5.5.4", "MAIL FROM:<address> is expected")
        raise _fault(501, "5.1.7", "Bad sender address syntax")
    local, domain, rest = match.groups()
    address = None if domain is None else _address(local, domain, "5.1.8", "sender")
    given = _parameters(rest, "MAIL", _mail_names(offers, tls))
    sender = Sender(
        address,
        size=_size(given.get("SIZE"), limits) if "SIZE" in given else None,
        body=_body(given.get("BODY"), offers) if "BODY" in given else BodyType.SEVEN_BIT,
        smtputf8="SMTPUTF8" in given,
        returned=_returned(given.get("RET")) if "RET" in given else None,
        envid=_envid(given.get("ENVID")) if "ENVID" in given else "",
        require_tls="REQUIRETLS" in given,
        auth=_auth(given.get("AUTH")) if "AUTH" in given else None,
        deliver_by=parse_by(given["BY"], offers.deliver_by or 0) if "BY" in given else None,
        hold_for=parse_hold_for(given["HOLDFOR"], offers.hold) if "HOLDFOR" in given else 0,
        hold_until=parse_hold_until(given["HOLDUNTIL"]) if "HOLDUNTIL" in given else None,
        priority=parse_priority(given["MT-PRIORITY"]) if "MT-PRIORITY" in given else 0,
    )
    if "HOLDFOR" in given and "HOLDUNTIL" in given:  # RFC 4865 §4
        raise _fault(501, "5.5.4", "HOLDFOR and HOLDUNTIL exclude each other")
    if given.get("SMTPUTF8") or given.get("REQUIRETLS"):
        raise _fault(501, "5.5.4", "SMTPUTF8 and REQUIRETLS take no value")
    if not sender.smtputf8 and not text.isascii():
        raise _fault(550, "5.6.7", "Address is not ASCII and SMTPUTF8 was not asked for")
    return sender


def parse_rcpt(argument: bytes, offers: Offers, *, smtputf8: bool) -> Recipient:
    """Read what follows RCPT.

    Args:
        argument: From ``TO:`` on.
        offers: Which parameters there are.
        smtputf8: Whether MAIL had SMTPUTF8.

    Raises:
        CommandFault: It cannot be taken.
    """
    text = _text(argument)
    match = _RCPT.fullmatch(text)
    if match is None:
        if _RCPT_VERB.match(text) is None:
            raise _fault(501, "5.5.4", "RCPT TO:<address> is expected")
        raise _fault(501, "5.1.3", "Bad recipient address syntax")
    local, domain, postmaster, rest = match.groups()
    if postmaster is not None:  # RFC 5321 §4.1.1.3
        address = Address(postmaster, "")
    else:
        address = _address(local, domain, "5.1.2", "recipient")
    given = _parameters(rest, "RCPT", ("NOTIFY", "ORCPT") if offers.dsn else ())
    if not smtputf8 and not text.isascii():
        raise _fault(553, "5.6.7", "Address is not ASCII and SMTPUTF8 was not asked for")
    return Recipient(
        address,
        notify=_notify(given.get("NOTIFY")) if "NOTIFY" in given else frozenset(),
        original=_original(given.get("ORCPT")) if "ORCPT" in given else "",
    )


def parse_path(text: str) -> Address:
    """Read an address as VRFY and EXPN have it, with angle brackets or without.

    Raises:
        CommandFault: It is none; a name without a domain is none either.
    """
    bare = text.removeprefix("<").removesuffix(">")
    try:
        return parse_rcpt(f"TO:<{bare}>".encode(), Offers(), smtputf8=True).address
    except CommandFault as fault:
        raise _fault(501, "5.1.3", "An address is expected") from fault


def decode_xtext(text: str) -> str | None:
    """Undo the encoding of RFC 3461 §4; None if it is none, or hides no UTF-8."""
    if _XTEXT.fullmatch(text) is None:
        return None
    try:
        return _HEXCHAR.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode()).decode()
    except UnicodeDecodeError:
        return None


def _text(argument: bytes) -> str:
    try:
        return argument.decode()
    except UnicodeDecodeError:
        raise _fault(501, "5.5.2", "The command is neither ASCII nor UTF-8") from None


def _address(local: str, domain: str, status: str, whose: str) -> Address:
    if domain.startswith("["):
        good = _is_literal(domain[1:-1])
    else:
        good = len(domain.encode()) <= _MAX_DOMAIN and all(
            len(label) <= _MAX_LABEL for label in domain.split(".")
        )
    if not good:
        raise _fault(501, status, f"Bad {whose} domain")
    if local.startswith('"'):
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return Address(local, domain)


def _is_literal(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address literal; no other tag is registered (§4.1.3)."""
    try:
        if text[:5].upper() == "IPV6:":
            return "%" not in text and bool(IPv6Address(text[5:]).packed)
        return bool(IPv4Address(text).packed)
    except AddressValueError:
        return False


def _mail_names(offers: Offers, tls: bool) -> tuple[str, ...]:
    names = ["SIZE"]
    if offers.eight_bit or offers.binary:
        names.append("BODY")
    if offers.smtputf8:
        names.append("SMTPUTF8")
    if offers.dsn:
        names += "RET", "ENVID"
    if offers.mechanisms:
        names.append("AUTH")
    if offers.require_tls and tls:
        names.append("REQUIRETLS")
    if offers.deliver_by is not None:
        names.append("BY")
    if offers.hold:
        names += "HOLDFOR", "HOLDUNTIL"
    if offers.priority:
        names.append("MT-PRIORITY")
    return tuple(names)


def _parameters(rest: str | None, verb: str, known: tuple[str, ...]) -> dict[str, str | None]:
    """Read ESMTP parameters; each at most once, and none but the known ones."""
    given: dict[str, str | None] = {}
    for word in (rest or "").split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise _fault(501, "5.5.4", f"{verb} parameter cannot be read")
        name = match[1].upper()
        if name not in known:  # RFC 5321 §4.1.1.11
            raise _fault(555, "5.5.4", f"{verb} parameter not recognised or not offered")
        if name in given:
            raise _fault(501, "5.5.4", f"{verb} parameter {name} was given twice")
        given[name] = match[2]
    return given


def _size(value: str | None, limits: Limits) -> int:
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 20:
        raise _fault(501, "5.5.4", "SIZE takes a number of bytes")  # RFC 1870 §3
    if int(value) > limits.message_size:  # RFC 1870 §6.1
        raise CommandFault(Reply.to_error(TooBig()))
    return int(value)


def _body(value: str | None, offers: Offers) -> BodyType:
    taken = {BodyType.SEVEN_BIT}
    if offers.eight_bit:
        taken.add(BodyType.EIGHT_BIT)
    if offers.binary and offers.chunking:
        taken.add(BodyType.BINARY)
    for body in taken:
        if body == (value or "").upper():
            return body
    raise _fault(501, "5.5.4", "BODY takes " + ", ".join(sorted(taken)))


def _returned(value: str | None) -> Return:
    try:
        return Return((value or "").upper())
    except ValueError:
        raise _fault(501, "5.5.4", "RET takes FULL or HDRS") from None


def _envid(value: str | None) -> str:
    envid = decode_xtext(value or "")
    if not envid or len(value or "") > _MAX_ENVID or not _is_printable(envid):
        raise _fault(501, "5.5.4", "ENVID takes up to 100 characters of xtext")
    return envid


def _auth(value: str | None) -> str:
    auth = decode_xtext(value or "")
    if not auth or not auth.isprintable():
        raise _fault(501, "5.5.4", "AUTH takes <> or an address as xtext")
    return auth


def _notify(value: str | None) -> frozenset[Notify]:
    try:
        notify = frozenset(map(Notify, (value or "").upper().split(",")))
    except ValueError:
        notify = frozenset()
    if not notify or (Notify.NEVER in notify and len(notify) > 1):  # RFC 3461 §4.1 note a
        raise _fault(501, "5.5.4", "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY")
    return notify


def _original(value: str | None) -> str:
    kind, _, text = (value or "").partition(";")
    if kind.lower() == "utf-8" and not text.isascii():  # utf-8-addr-unitext (RFC 6533 §3)
        address: str | None = text
    else:
        address = decode_xtext(text)
    if address is not None and kind.lower() == "utf-8":
        address = _UNICODE_CHAR.sub(lambda match: chr(int(match[1], 16)), address)
        good = address.isprintable()
    else:
        good = address is not None and _is_printable(address)
    if not address or not good or len(value or "") > _MAX_ORCPT or not _ADDR_TYPE.fullmatch(kind):
        raise _fault(501, "5.5.4", "ORCPT takes a type, a semicolon and an address as xtext")
    return f"{kind};{address}"


def _is_printable(text: str) -> bool:
    """Whether it can stand in a delivery report (RFC 3461 §4.2, §4.4)."""
    return text.isascii() and text.isprintable()
