"""What someone presents to prove who they are: values that a session hands to the accounts.

Invariant: no representation shows a secret, so that a value may stand in a log line or a
traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Credentials", "PasswordCredentials"]


@dataclass(frozen=True, slots=True)
class PasswordCredentials:
    """A name and a password in the clear (RFC 4616; USER and PASS; IMAP LOGIN).

    Attributes:
        authcid: Whose password it is.
        password: Never shown.
        authzid: As whom they would act; ``""`` is as themselves (RFC 4616 §2).
    """

    authcid: str
    password: str = field(repr=False)
    authzid: str = ""


Credentials = PasswordCredentials
"""Any of the values above."""
