"""All options of mailplat as one value: `Configuration`, a field a table of the file.

``Configuration()`` holds every default.  What a file says comes from `mailplat.config.load`.
"""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.sections.auth import AuthOptions, OAuthOptions
from mailplat.config.sections.bodies import BodiesOptions
from mailplat.config.sections.dmarc import DMARCOptions
from mailplat.config.sections.filtering import FilteringOptions, FilterOptions
from mailplat.config.sections.imap import IMAPOptions
from mailplat.config.sections.limits import LimitOptions, MessageOptions
from mailplat.config.sections.mail import (
    AccountsOptions,
    FolderOptions,
    FolderUse,
    RoutesOptions,
    StoreOptions,
)
from mailplat.config.sections.outgoing_tls import (
    MtaStsOptions,
    TLSPolicyOptions,
    TLSReportOptions,
)
from mailplat.config.sections.policy_table import PolicyTableOptions
from mailplat.config.sections.protocols import POP3Options, SMTPOptions
from mailplat.config.sections.queue import AgentOptions, QueueOptions
from mailplat.config.sections.relay import RelayOptions, ResolverOptions, SmarthostOptions
from mailplat.config.sections.routing import (
    BackupOptions,
    RelayHostOptions,
    RouteOptions,
    SRSOptions,
)
from mailplat.config.sections.server import (
    ListenerOptions,
    LogOptions,
    ServerOptions,
    TLSOptions,
)
from mailplat.config.sections.submission import SubmissionOptions

__all__ = ["STANDARD_FOLDERS", "Configuration"]

STANDARD_FOLDERS = (
    FolderOptions(name="Drafts", special_use=FolderUse.DRAFTS),
    FolderOptions(name="Sent", special_use=FolderUse.SENT),
    FolderOptions(name="Junk", special_use=FolderUse.JUNK),
    FolderOptions(name="Trash", special_use=FolderUse.TRASH),
    FolderOptions(name="Archive", special_use=FolderUse.ARCHIVE),
)


@attrs.frozen(kw_only=True)
class Configuration:
    """Everything that the operator may say."""

    server: ServerOptions = option(ServerOptions(), meaning="Who this server is.")
    listeners: tuple[ListenerOptions, ...] = option(
        (), name="listener", meaning="Ports that are listened on, if not the standard ones."
    )
    tls: TLSOptions = option(TLSOptions(), meaning="Certificates.")
    limits: LimitOptions = option(LimitOptions(), meaning="Limits of connections.")
    auth: AuthOptions = option(AuthOptions(), meaning="Logging in.")
    oauth: OAuthOptions = option(OAuthOptions(), meaning="Logging in with tokens.")
    message: MessageOptions = option(MessageOptions(), meaning="What a message may be.")
    smtp: SMTPOptions = option(SMTPOptions(), meaning="Taking mail in.")
    submission: SubmissionOptions = option(
        SubmissionOptions(), meaning="Mail from users who logged in."
    )
    pop3: POP3Options = option(POP3Options(), meaning="Giving mail out by POP3.")
    imap: IMAPOptions = option(IMAPOptions(), meaning="Giving mail out by IMAP.")
    store: StoreOptions = option(StoreOptions(), meaning="Where mail is kept.")
    bodies: BodiesOptions = option(BodiesOptions(), meaning="Where large bodies are.")
    folders: tuple[FolderOptions, ...] = option(
        STANDARD_FOLDERS, name="folder", meaning="Mailboxes that a new account begins with."
    )
    accounts: AccountsOptions = option(AccountsOptions(), meaning="Who may log in.")
    routes: RoutesOptions = option(RoutesOptions(), meaning="Where mail leads.")
    route_tables: tuple[RouteOptions, ...] = option(
        (), name="route", meaning="Routes, in the order they are asked, before the accounts."
    )
    relay_hosts: tuple[RelayHostOptions, ...] = option(
        (), name="relay_host", meaning="Servers that take the mail of some domains or senders."
    )
    backups: tuple[BackupOptions, ...] = option(
        (), name="backup_mx", meaning="Domains of others that mail is taken for."
    )
    srs: SRSOptions = option(SRSOptions(), meaning="Rewriting the senders of forwarded mail.")
    queue: QueueOptions = option(QueueOptions(), meaning="Mail on its way out.")
    agents: tuple[AgentOptions, ...] = option(
        (), name="agent", meaning="Delivery agents besides the one for mailboxes here."
    )
    relay: RelayOptions = option(RelayOptions(), meaning="Bringing mail to other servers.")
    tls_policies: tuple[TLSPolicyOptions, ...] = option(
        (), name="tls_policy", meaning="What is asked of TLS with the servers of some domains."
    )
    mta_sts: MtaStsOptions = option(
        MtaStsOptions(), meaning="Policies of TLS that domains publish on web servers."
    )
    tls_reports: TLSReportOptions = option(
        TLSReportOptions(), meaning="Reports to other domains on TLS with their servers."
    )
    smarthost: SmarthostOptions = option(
        SmarthostOptions(), meaning="One server that takes all mail for others."
    )
    resolver: ResolverOptions = option(ResolverOptions(), meaning="Asking DNS.")
    filtering: FilteringOptions = option(FilteringOptions(), meaning="What all filters share.")
    policy_table: PolicyTableOptions = option(
        PolicyTableOptions(), meaning="Where policy filters remember what they saw."
    )
    filters: tuple[FilterOptions, ...] = option(
        (), name="filter", meaning="Filters, in the order they are asked."
    )
    dmarc: DMARCOptions = option(
        DMARCOptions(), meaning="Reports to domains on the mail in their name."
    )
    log: LogOptions = option(LogOptions(), meaning="The log.")
