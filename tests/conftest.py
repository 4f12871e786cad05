"""Every test leaves the reactor as it found it."""

from __future__ import annotations

pytest_plugins = ["mailplat.testing.strict"]
