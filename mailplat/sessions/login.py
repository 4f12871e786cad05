"""Finding out whose credentials these are: the same for SMTP, POP3 and IMAP.

Invariants:

- Nothing is looked at before the throttle let the try pass, right or wrong; a try that is open
  counts until it is decided, or the connection is gone.
- Nobody acts for somebody else: the name to act as has to lead to the account that proved itself
  (RFC 4422 §3.4.1).
- The peer hears one and the same refusal, whatever was wrong; the log is told which.
- No secret reaches the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twisted.logger import Logger

from mailplat.interfaces.accounts import IAccounts, IScramAccounts
from mailplat.interfaces.net import ILink, ILoginAttempt, ILoginThrottle
from mailplat.interfaces.tokens import ITokens
from mailplat.model.account import Account
from mailplat.model.credentials import (
    CertificateCredentials,
    Credentials,
    Denied,
    PasswordCredentials,
    ScramKeys,
    ScramProof,
    ScramRequest,
    TokenCredentials,
)
from mailplat.model.errors import AuthenticationFailed, MailError
from mailplat.net.client_certificates import CertificateName, names_in
from mailplat.proto.sasl.saslprep import saslprep

__all__ = ["LogIn", "LoginParts"]

_log = Logger()


@dataclass(frozen=True, slots=True)
class LoginParts:
    """What log-ins need of the rest of the house.

    Attributes:
        accounts: Who may log in.
        throttle: Holds up who guesses passwords.
        tokens: Judges bearer tokens; None where they are not taken.
        certificate_names: Where in a client's certificate the account's name is looked for.
    """

    accounts: IAccounts
    throttle: ILoginThrottle
    tokens: ITokens | None = None
    certificate_names: Sequence[CertificateName] = (CertificateName.SAN_EMAIL,)


class LogIn:
    """The log-ins of one connection.

    Args:
        parts: What all of them share.
        link: The connection.
    """

    def __init__(self, parts: LoginParts, link: ILink) -> None:
        self._parts = parts
        self._link = link
        self._attempt: ILoginAttempt | None = None

    async def judge(self, credentials: Credentials) -> Account | ScramKeys | Denied:
        """Find out what credentials are worth.

        Returns:
            The account that they prove; or what their exchange has to be told, to go on.

        Raises:
            AuthenticationFailed: They prove nothing.
            MailError: They cannot be judged now.
        """
        attempt = self._attempt
        if attempt is None:
            attempt = await self._parts.throttle.begin(self._link.peer.address)
            self._attempt = attempt
        done = True
        try:
            if isinstance(credentials, ScramRequest):
                keys = await self._scram().scram_keys(credentials.authcid, credentials.algorithm)
                done = False  # the try lasts until the proof is there
                return keys
            account = await self._judge(credentials)
        except AuthenticationFailed as error:
            name, secret = _identity(credentials)
            attempt.failed(name, secret)
            self._tell("log-in of {name} from {address} failed: {reason}", name, error)
            if isinstance(credentials, TokenCredentials) and self._parts.tokens is not None:
                return self._parts.tokens.denied
            raise
        except MailError as error:
            self._tell("cannot judge a log-in of {name} from {address}: {reason}", "", error)
            raise
        finally:
            if done:
                self.drop()
        attempt.succeeded()
        return account

    def drop(self) -> None:
        """Let go of the try under way, if there is one."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.release()

    def _tell(self, words: str, name: str, error: MailError) -> None:
        _log.info(
            "{session}: " + words,
            session=self._link.session_id,
            name=name[:100] or "?",
            address=self._link.peer.address,
            reason=error.reason,
        )

    async def _judge(self, credentials: Credentials) -> Account:
        authcid = ""
        match credentials:
            case PasswordCredentials(authcid, password, authzid):
                account = await self._parts.accounts.check_password(_prepared(authcid), password)
            case ScramProof(authcid, proved, authzid):
                if not proved:
                    raise AuthenticationFailed(f"wrong SCRAM proof for {authcid[:100]!r}")
                account = await self._named(authcid)
            case TokenCredentials(token, authzid):
                if self._parts.tokens is None:
                    raise AuthenticationFailed("no tokens are taken here")
                account = await self._named(await self._parts.tokens.check_token(token))
            case CertificateCredentials(authzid):
                account = await self._certified(authzid)
            case ScramRequest():
                raise RuntimeError("a request for keys proves nothing")
        if authzid and not _is(account, authzid) and authzid.lower() != authcid.lower():
            raise AuthenticationFailed(f"{account.name} may not act as another")
        return account

    def _scram(self) -> IScramAccounts:
        accounts = self._parts.accounts
        if not IScramAccounts.providedBy(accounts):
            raise AuthenticationFailed("these accounts keep no keys for SCRAM")
        return IScramAccounts(accounts)

    async def _find(self, name: str) -> Account | None:
        """Find an account by a log-in name, or by an address of it."""
        accounts = self._parts.accounts
        return await accounts.find_account(name) or await accounts.find_address(name)

    async def _named(self, name: str) -> Account:
        account = await self._find(_prepared(name))
        if account is None:
            raise AuthenticationFailed(f"there is no account {name[:100]!r}")
        if not account.enabled:
            raise AuthenticationFailed(f"the account {account.name} is disabled")
        return account

    async def _certified(self, authzid: str) -> Account:
        """Find whose certificate this is; of several accounts the client says which."""
        tls = self._link.peer.tls
        if tls is None or tls.client_certificate is None:
            raise AuthenticationFailed("no certificate was shown")
        names = names_in(tls.client_certificate, self._parts.certificate_names)
        found = [account for name in names if (account := await self._find(name)) is not None]
        accounts = {account.name: account for account in found if account.enabled}
        if authzid:
            accounts = {
                name: account for name, account in accounts.items() if _is(account, authzid)
            }
        if len(accounts) != 1:
            said = ", ".join(names)[:200] or "nobody"
            raise AuthenticationFailed(
                f"the certificate of {said} leads to {len(accounts)} accounts that it may act as"
            )
        return accounts.popitem()[1]


def _prepared(name: str) -> str:
    """Spell a name as it is compared (RFC 4013).

    Raises:
        AuthenticationFailed: It can be nobody's.
    """
    try:
        return saslprep(name)
    except ValueError as error:
        raise AuthenticationFailed(f"{name[:100]!r} is no name: {error}") from None


def _is(account: Account, name: str) -> bool:
    """Whether a name is one of an account's."""
    return _prepared(name).lower() in (account.name, *account.aliases, *account.addresses)


def _identity(credentials: Credentials) -> tuple[str, str | None]:
    """Give what tells one wrong try from another; of a SCRAM proof nothing can (RFC 5802 §3)."""
    match credentials:
        case PasswordCredentials(authcid, password):
            return authcid, password
        case TokenCredentials(token, authzid):
            return authzid, token
        case CertificateCredentials(authzid):
            return authzid, ""
        case ScramProof(authcid) | ScramRequest(authcid):
            return authcid, None
