"""Which mechanisms are offered to whom: out of what is wanted, what accounts and TLS can do.

Invariant: a mechanism is in the list exactly if an exchange by it could succeed for somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from mailplat.proto.sasl import scram
from mailplat.proto.sasl.exchange import Exchange, Mechanisms
from mailplat.proto.sasl.external import ExternalExchange
from mailplat.proto.sasl.oauth import TOKEN_MECHANISMS
from mailplat.proto.sasl.password import PASSWORD_MECHANISMS
from mailplat.proto.sasl.scram_server import ScramExchange

__all__ = ["offered"]


def offered(
    wanted: Sequence[str],
    new_nonce: Callable[[], str],
    *,
    scram_able: Collection[str] = (),
    bindings: Mapping[str, bytes] | None = None,
    certificate: bool = False,
    tokens: bool = False,
) -> Mechanisms:
    """Make the mapping of one connection.

    Args:
        wanted: What the operator wants offered, in this order.
        new_nonce: Gives a nonce for SCRAM that was never used before.
        scram_able: The SCRAM algorithms (``SCRAM-SHA-256``) that the accounts have keys for.
        bindings: The connection's channel bindings by name; empty where there are none.
        certificate: Whether the client showed a certificate that was verified.
        tokens: Whether tokens can be checked.
    """
    plus_offered = {
        name.removesuffix("-PLUS") for name in wanted if name.endswith("-PLUS") and bindings
    }
    chosen: dict[str, Callable[[], Exchange]] = {}

    def scram_of(algorithm: str, plus: bool) -> Exchange:
        return ScramExchange(
            algorithm,
            new_nonce(),
            bindings=bindings,
            plus=plus,
            plus_offered=algorithm in plus_offered,
        )

    for name in wanted:
        algorithm = name.removesuffix("-PLUS")
        if algorithm in scram.HASHES:
            plus = name != algorithm
            if algorithm in scram_able and (bindings or not plus):
                chosen[name] = partial(scram_of, algorithm, plus)
        elif name in PASSWORD_MECHANISMS:
            chosen[name] = PASSWORD_MECHANISMS[name]
        elif name in TOKEN_MECHANISMS:
            if tokens:
                chosen[name] = TOKEN_MECHANISMS[name]
        elif name == "EXTERNAL" and certificate:
            chosen[name] = ExternalExchange
    return chosen
