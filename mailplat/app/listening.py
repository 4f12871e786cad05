"""From the parts to the ports: each listener gets a factory, its sessions, and its TLS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress

from mailplat.app.assembly import Parts
from mailplat.app.logging_in import mechanisms_of
from mailplat.app.parts import make_imap_extension
from mailplat.app.service import Port
from mailplat.config.listeners import Listener
from mailplat.config.sections.protocols import BareNewlines, UidlFormat
from mailplat.config.sections.server import ListenerProtocol, TLSUse
from mailplat.interfaces.imap_extensions import ExtensionSettings
from mailplat.interfaces.net import ILink
from mailplat.net.factory import ConnectionFactory
from mailplat.net.imap import imap_factory
from mailplat.net.networks import Networks
from mailplat.net.pop3 import pop3_factory
from mailplat.net.proxied import ProxiedFactory
from mailplat.net.serving import Wiring
from mailplat.net.session import ConnectionOptions
from mailplat.net.smtp import smtp_factory
from mailplat.net.tls import behind_tls
from mailplat.proto.imap.limits import Limits as IMAPLimits
from mailplat.proto.pop3.maildrop import DOVECOT, PLAIN
from mailplat.proto.pop3.offers import Limits as POP3Limits
from mailplat.proto.pop3.offers import Offers as POP3Offers
from mailplat.proto.pop3.server import ServerConversation as POP3Server
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.smtp.offers import Dialect, Offers
from mailplat.proto.smtp.offers import Limits as SMTPLimits
from mailplat.proto.smtp.server import ServerConversation as SMTPServer
from mailplat.sessions.imap.extending import Extensions
from mailplat.sessions.imap.services import IMAPOptions as IMAPSessionOptions
from mailplat.sessions.imap.services import IMAPServices
from mailplat.sessions.imap.session import IMAPSession
from mailplat.sessions.imap.switches import ClientRule, switches
from mailplat.sessions.pop3 import Pop3Options, Pop3Session
from mailplat.sessions.smtp.options import SmtpOptions, SmtpParts
from mailplat.sessions.smtp.policy import Policy, Telling
from mailplat.sessions.smtp.session import SmtpSession
from mailplat.sessions.smtp.submission import FromCheck, SubmissionOptions

__all__ = ["ports_of", "with_backlog"]

BACKLOG = 1024
"""Connections that may wait to be accepted.  With Twisted's 50 a burst of clients loses packets,
and waits for a second or more until it tries again; the system may allow less."""


def ports_of(parts: Parts) -> list[Port]:
    """Make the ports of all listeners; nothing is bound yet."""
    return [_port(parts, listener) for listener in parts.listeners]


def _port(parts: Parts, listener: Listener) -> Port:
    factory = _FACTORIES[listener.protocol](parts, listener)
    listening: Any = factory
    if listener.tls is TLSUse.IMPLICIT:
        listening = behind_tls(factory, parts.tls[listener.client_authorities])
    if listener.proxies:
        limits = parts.configuration.limits
        listening = ProxiedFactory(
            listening,
            parts.reactor,
            Networks(listener.proxies),
            timeout=limits.proxy_header_timeout,
            limit=limits.proxy_header_size,
        )
    return Port(
        listener.name,
        with_backlog(listener.endpoint),
        listening,
        factory,
        lambda address: _describe(listener, address),
    )


def with_backlog(endpoint: str) -> str:
    """Say how many connections may wait at an endpoint, unless its description does."""
    kind = endpoint.partition(":")[0]
    if kind not in ("tcp", "tcp6", "unix") or ":backlog=" in endpoint:
        return endpoint
    return f"{endpoint}:backlog={BACKLOG}"


def _describe(listener: Listener, address: Any) -> str:
    """Say what to connect to: ``imaps 127.0.0.1 port 8993, TLS from the start``."""
    words = {
        TLSUse.IMPLICIT: "TLS from the start",
        TLSUse.STARTTLS: "TLS on request",
        TLSUse.NONE: "in clear",
    }
    where = (
        str(address.name)
        if isinstance(address, UNIXAddress)
        else f"{address.host} port {address.port}"
    )
    return f"{listener.name}: {where}, {words[listener.tls]} ({_PURPOSES[listener.protocol]})"


_PURPOSES = {
    ListenerProtocol.SMTP: "mail from other servers",
    ListenerProtocol.SUBMISSION: "mail from your users, who log in",
    ListenerProtocol.SUBMISSIONS: "mail from your users, who log in",
    ListenerProtocol.LMTP: "mail from a mail server of yours",
    ListenerProtocol.POP3: "reading mail",
    ListenerProtocol.POP3S: "reading mail",
    ListenerProtocol.IMAP: "reading mail",
    ListenerProtocol.IMAPS: "reading mail",
}


def _wiring(
    parts: Parts, listener: Listener, idle_timeout: float, login_timeout: float | None
) -> Wiring:
    limits, smtp = parts.configuration.limits, parts.configuration.smtp
    return Wiring(
        clock=parts.reactor,
        ids=parts.ids,
        connections=parts.connections,
        options=ConnectionOptions(
            idle_timeout=idle_timeout,
            login_timeout=login_timeout,
            block_timeout=smtp.block_timeout,
            least_rate=smtp.least_rate,
            rate_grace=smtp.rate_grace,
            handshake_timeout=limits.handshake_timeout,
            stall_timeout=limits.stall_timeout,
            close_timeout=limits.close_timeout,
        ),
        tls=parts.tls[listener.client_authorities] if listener.tls is TLSUse.STARTTLS else None,
        implicit_tls=listener.tls is TLSUse.IMPLICIT,
    )


def _pop3(parts: Parts, listener: Listener) -> ConnectionFactory:
    options = parts.configuration.pop3
    starttls = listener.tls is TLSUse.STARTTLS
    mechanisms = mechanisms_of(parts.configuration, listener, parts.log_ins)

    def open_session(conversation: POP3Server, link: ILink) -> Pop3Session:
        conversation.mechanisms = lambda: mechanisms(link.peer)
        return Pop3Session(
            conversation,
            link,
            log_ins=parts.log_ins,
            connections=parts.logins,
            intervals=parts.intervals,
            store=parts.store,
            options=Pop3Options(
                mark_seen=options.mark_seen,
                names=DOVECOT if options.uidl_format is UidlFormat.DOVECOT else PLAIN,
            ),
        )

    return pop3_factory(
        open_session,
        POP3Offers(
            parts.hostname,
            stls=starttls,
            clear_passwords=not listener.require_tls,
            retention="NEVER" if options.expire is None else str(options.expire),
            login_delay=math.ceil(options.login_delay),
            implementation=options.implementation,
        ),
        _wiring(parts, listener, options.idle_timeout, options.login_timeout),
        limits=POP3Limits(
            line=options.max_command_line,
            errors=options.max_errors,
            failures=parts.configuration.auth.failures_by_connection,
        ),
    )


def _imap(parts: Parts, listener: Listener) -> ConnectionFactory:
    options, configuration = parts.configuration.imap, parts.configuration
    starttls = listener.tls is TLSUse.STARTTLS
    settings = ExtensionSettings(
        parts.reactor, parts.hostname, str(configuration.server.data_directory), parts.now
    )
    services = IMAPServices(
        accounts=parts.accounts,
        store=parts.store,
        intakes=parts.intakes,
        logins=parts.logins,
        log_ins=parts.log_ins,
        mechanisms=mechanisms_of(configuration, listener, parts.log_ins),
        clock=parts.reactor,
        now=parts.now,
        scan_limits=parts.scan_limits,
        options=IMAPSessionOptions(
            auth_needs_tls=listener.require_tls,
            offers_tls=starttls,
            login_failures=configuration.auth.failures_by_connection,
            message_size=configuration.message.max_size,
            append_total=options.max_append_size,
            idle_interval=options.idle_notice,
            disabled=switches(options.disabled_capabilities),
            clients=tuple(
                ClientRule(one.client, one.version, switches(one.disabled_capabilities))
                for one in options.clients
            ),
        ),
        extensions=Extensions(make_imap_extension(part, settings) for part in options.extensions),
    )
    return imap_factory(
        lambda conversation, link: IMAPSession(services, link, conversation),
        _wiring(parts, listener, options.idle_timeout, options.login_timeout),
        limits=IMAPLimits(
            line_before_login=options.max_line_before_login,
            line=options.max_line,
            literal=options.max_literal,
            literals=options.max_literals,
            command=options.max_command,
            read_ahead=options.max_read_ahead,
            messages=options.max_append_messages,
            message=configuration.message.max_size,
            nesting=options.max_nesting,
            bad_commands=options.max_errors,
        ),
        grammar=services.extensions.grammar,
    )


def _smtp(parts: Parts, listener: Listener) -> ConnectionFactory:
    options, configuration = parts.configuration.smtp, parts.configuration
    submission = listener.protocol in (ListenerProtocol.SUBMISSION, ListenerProtocol.SUBMISSIONS)
    lmtp = listener.protocol is ListenerProtocol.LMTP
    starttls = listener.tls is TLSUse.STARTTLS
    shared = SmtpParts(
        routes=parts.routes,
        store=parts.store,
        intakes=parts.intakes,
        chains=parts.chains(listener),
        hooks=parts.hooks,
        log_ins=parts.log_ins,
        now=parts.now,
        new_queue_id=parts.queue_ids,
        spool=parts.spool,
        agents=parts.agents,
        rates=parts.rates,
    )
    policy = SmtpOptions(
        parts.hostname,
        listener.name,
        submission=submission,
        lmtp=lmtp,
        policy=Policy(
            verify=Telling(options.vrfy.value),
            expand=Telling(options.expn.value),
            proxies=Networks(options.xclient_from),
            hold=int(configuration.submission.max_hold),
            urgent_networks=Networks(options.priority_from),
            urgent_users=configuration.submission.max_priority,
        ),
        submissions=SubmissionOptions(
            any_sender=options.any_sender,
            from_check=FromCheck(configuration.submission.from_check.value),
            add_sender=configuration.submission.add_sender,
            add_fields=configuration.submission.add_fields,
            remove_bcc=configuration.submission.remove_bcc,
        ),
        max_received=options.max_received,
        quarantine=configuration.routes.quarantine,
        scan=parts.scan_limits,
    )
    mechanisms = mechanisms_of(parts.configuration, listener, parts.log_ins)

    def open_session(conversation: SMTPServer, link: ILink) -> SmtpSession:
        if not lmtp:
            conversation.mechanisms = lambda: mechanisms(link.peer)
        return SmtpSession(conversation, link, shared, policy)

    return smtp_factory(
        open_session,
        parts.hostname,
        Offers(
            smtputf8=options.smtputf8,
            starttls=starttls,
            chunking=True,
            binary=options.binarymime,
            require_tls=options.requiretls,
            deliver_by=math.ceil(options.least_deliver_by) if options.deliver_by else None,
            hold=int(configuration.submission.max_hold) if submission else 0,
            priority=options.priority,
            dsn=not lmtp,
            mechanisms={} if lmtp else PASSWORD_MECHANISMS,
            auth_needs_tls=listener.require_tls,
        ),
        _wiring(
            parts, listener, options.idle_timeout, options.login_timeout if submission else None
        ),
        limits=SMTPLimits(
            message_size=configuration.message.max_size,
            recipients=options.max_recipients,
            recipient_domains=options.max_recipient_domains,
            command_line=options.max_command_line,
            text_line=options.max_text_line,
            bare_newlines=options.bare_newlines is BareNewlines.ACCEPT,
            mend_newlines=options.bare_newlines is BareNewlines.NORMALISE,
            errors=options.max_errors,
            login_failures=configuration.auth.failures_by_connection,
            messages=options.max_messages,
            idle_commands=options.max_idle_commands,
        ),
        dialect=Dialect.LMTP if lmtp else Dialect.SMTP,
    )


_FACTORIES: dict[ListenerProtocol, Callable[[Parts, Listener], ConnectionFactory]] = {
    ListenerProtocol.SMTP: _smtp,
    ListenerProtocol.SUBMISSION: _smtp,
    ListenerProtocol.SUBMISSIONS: _smtp,
    ListenerProtocol.LMTP: _smtp,
    ListenerProtocol.POP3: _pop3,
    ListenerProtocol.POP3S: _pop3,
    ListenerProtocol.IMAP: _imap,
    ListenerProtocol.IMAPS: _imap,
}
