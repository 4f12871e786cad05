"""Writes what is made from the options' definitions and kept in the tree.

::

    python -m mailplat.config toml > etc/mailplat.toml
    python -m mailplat.config reference > docs/configuration.md
"""

from __future__ import annotations

import sys

from mailplat.config.options import Configuration
from mailplat.config.reference import render_reference
from mailplat.config.render import render_toml

__all__: list[str] = []

if __name__ == "__main__":
    (what,) = sys.argv[1:]
    made = {"toml": lambda: render_toml(Configuration()), "reference": render_reference}
    sys.stdout.write(made[what]())
