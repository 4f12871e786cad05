"""Where the bytes of large messages are: ``[bodies]``.  Only stores in a database ask."""

from __future__ import annotations

import attrs

from mailplat.config.option import option
from mailplat.config.secrets import Secret
from mailplat.config.values import Duration, PartText, Size, duration, size

__all__ = ["BodiesOptions"]


@attrs.frozen(kw_only=True)
class BodiesOptions:
    """Where a SQL store keeps large bodies; those in Maildirs are files anyway."""

    use: PartText = option(
        PartText("database:"),
        meaning="Where bodies larger than `larger` are: `database:`, `files:PATH`, "
        "`s3:https://HOST/BUCKET/PREFIX`, or a plugin's. A relative path begins in "
        "`server.data_directory`. Two databases may share a place; a database and its copy may "
        "not.",
        precedent="Dovecot mail_attachment_dir",
        example="s3:https://s3.example.org/mail",
    )
    larger: Size = option(
        size("128KiB"),
        least=65_536,
        meaning="Bodies of more bytes are large: the same one is kept once, whoever has it, and "
        "where `use` says. Those that are there stay where they are.",
        precedent="Dovecot mail_attachment_min_size",
    )
    keep_unused: Duration = option(
        duration("1d"),
        least=600,
        meaning="How long a body stays in files or S3 that no message has any more, or that was "
        "put there for a mail that was not stored. Longer than a backup takes.",
    )
    s3_access_key: str = option("", meaning="By what name to ask S3.", precedent="AWS")
    s3_secret_key: Secret | None = option(
        None,
        meaning="The secret that goes with it.",
        precedent="AWS",
        example={"file": "/etc/mailplat/s3.key"},
    )
    s3_region: str = option(
        "us-east-1", meaning="Where the service is, as it is called there.", precedent="AWS"
    )
    s3_timeout: Duration = option(
        duration("20s"),
        least=1,
        meaning="How long one request to S3 may take, besides four seconds for each MiB that it "
        "carries.",
        precedent="AWS SDK: 60 s",
    )
    s3_tries: int = option(
        3,
        unit="tries",
        least=1,
        most=10,
        meaning="How often a request is made that S3 does not answer, or answers 5xx. Then a mail "
        "that comes is put off (451), and what is read fails.",
        precedent="AWS SDK",
    )
