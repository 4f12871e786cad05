"""Every test leaves the reactor as it found it; hypothesis does not time what it tries."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = [
    "mailplat.testing.strict",
    "mailplat.testing.postgresql",
    "mailplat.testing.seaweedfs",
]

# on a busy machine any example may take long
settings.register_profile("mailplat", deadline=None)
settings.load_profile("mailplat")
