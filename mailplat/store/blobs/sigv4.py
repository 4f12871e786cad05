"""Signatures of requests to S3, version 4 of AWS: pure functions of a request and a moment.

The signature covers the method, the path, the query, the named headers and the hash of the content
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).  Every header here
is signed.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

__all__ = ["EMPTY", "S3Key", "query_text", "signed_headers"]

EMPTY = sha256().hexdigest()
"""The hash of no content."""


@dataclass(frozen=True, slots=True)
class S3Key:
    """Who asks.

    Attributes:
        name: The access key's id.
        secret: The access key's secret.
        region: Where the service is, as it is called there.
    """

    name: str
    secret: str = field(repr=False)
    region: str = "us-east-1"


def query_text(query: Mapping[str, str]) -> str:
    """Write a query as it is signed: sorted, everything but unreserved characters quoted."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(
            (quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in query.items()
        )
    )


def signed_headers(
    key: S3Key,
    method: str,
    host: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    content: str,
    now: float,
) -> dict[str, str]:
    """Give all headers of a request, with its signature; Host is added by who sends it.

    Args:
        key: Who asks.
        method: ``GET`` and so on.
        host: As it stands in the field Host.
        path: Quoted as it is sent.
        query: What follows the path.
        headers: Other headers.
        content: The SHA-256 of the content, in hexadecimal digits.
        now: Seconds since 1970 UTC.
    """
    moment = datetime.fromtimestamp(now, UTC)
    stamp, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    sent = {**headers, "x-amz-content-sha256": content, "x-amz-date": stamp}
    fields = sorted({**{n.lower(): v.strip() for n, v in sent.items()}, "host": host}.items())
    names = ";".join(name for name, _ in fields)
    lines = "".join(f"{name}:{value}\n" for name, value in fields)
    request = "\n".join((method, path, query_text(query), lines, names, content))
    scope = f"{day}/{key.region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, sha256(request.encode()).hexdigest()))
    step = f"AWS4{key.secret}".encode()
    for word in (day, key.region, "s3", "aws4_request", text):
        step = hmac.digest(step, word.encode(), "sha256")
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.name}/{scope},SignedHeaders={names},"
        f"Signature={step.hex()}"
    )
    return sent
