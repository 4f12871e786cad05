"""Organisational domains, by the public suffix list (RFC 7489 §3.2).

The list comes with the package publicsuffixlist; reading it takes some ten milliseconds, once.
"""

from __future__ import annotations

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

__all__ = ["organisation"]


@lru_cache(maxsize=1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@lru_cache(maxsize=4096)
def organisation(domain: str) -> str:
    """Give the domain that was registered, of which this one is or is a part.

    Args:
        domain: In ASCII and lower case.
    """
    return _suffixes().privatesuffix(domain) or domain
