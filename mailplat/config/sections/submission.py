"""What becomes of mail from users who logged in: ``[submission]``."""

from __future__ import annotations

from enum import StrEnum

import attrs

from mailplat.config.option import option
from mailplat.config.values import Duration, duration

__all__ = ["FromOption", "SubmissionOptions"]


class FromOption(StrEnum):
    """What becomes of a message whose From field names somebody else."""

    OFF = "off"
    WARN = "warn"
    REJECT = "reject"


@attrs.frozen(kw_only=True)
class SubmissionOptions:
    """Mail from users who logged in, on the ports `submission` and `submissions`."""

    from_check: FromOption = option(
        FromOption.OFF,
        meaning="What becomes of a message whose From field has an address that is not the "
        "user's: nothing (`off`), a line in the log (`warn`), or it is refused (`reject`).",
        precedent="RFC 6409 §6.1; Exchange",
    )
    add_sender: bool = option(
        False,
        meaning="Whether such a message gets a Sender field that says who sent it.",
        precedent="RFC 6409 §8.1; Sendmail",
    )
    add_fields: bool = option(
        True,
        meaning="Whether Date and Message-ID are added to a message that has none.",
        precedent="RFC 6409 §8.2, §8.3; Postfix always_add_missing_headers",
    )
    remove_bcc: bool = option(
        True,
        meaning="Whether Bcc fields are taken out of messages.",
        precedent="RFC 5322 §3.6.3; Postfix message_drop_headers",
    )
    messages_by_hour: int | None = option(
        None,
        unit="messages an hour",
        least=1,
        meaning="How many messages one account may send. Counted from the server's start on.",
        precedent="Postfix smtpd_client_message_rate_limit (none); Exchange (1800)",
    )
    recipients_by_hour: int | None = option(
        None,
        unit="recipients an hour",
        least=1,
        meaning="How many recipients the messages of one account may have together.",
        precedent="Postfix smtpd_client_recipient_rate_limit (none)",
    )
    max_hold: Duration = option(
        duration("30d"),
        meaning="How long a message may be kept back before it is sent, where its sender asks for "
        "that (FUTURERELEASE); 0 is not at all.",
        precedent="RFC 4865 §4",
    )
    max_priority: int = option(
        0,
        unit="levels",
        least=0,
        most=9,
        meaning="How urgent users may make their mail.",
        precedent="RFC 6710 §4.1",
    )
