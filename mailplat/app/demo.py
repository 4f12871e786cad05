"""``twistd mailplat --demo``: an installation to look around in, made at the first start."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mailplat.config.values import read_address, read_domain
from mailplat.model.errors import ConfigurationFault

__all__ = ["prepare_demo"]

_ACCOUNTS = ("alice:demo", "bob:demo")

_WELCOME = """\
The demo's accounts: alice@example.org and bob@example.org, password "demo".
Its certificate is self-signed: mail programs ask whether you trust it.
Its mail and its configuration are in {directory}
"""


def prepare_demo(directory: str) -> str:
    """Make the demo's installation, unless it is there; give its configuration file.

    Args:
        directory: Where; made if it is missing.

    Raises:
        ConfigurationFault: It cannot be made there.
    """
    place = Path(directory)
    file = place / "mailplat.toml"
    if not file.exists():
        _make(place)
    sys.stdout.write(_WELCOME.format(directory=place.absolute()))
    return str(file)


def _make(place: Path) -> None:
    from mailplat.app.ctl.init import install

    try:
        install(
            place,
            domains=(read_domain("example.org"),),
            accounts=_ACCOUNTS,
            listen=(read_address("127.0.0.1"),),
            port_offset=8000,
        )
    except click.ClickException as error:
        raise ConfigurationFault(f"the demo cannot be made: {error.format_message()}") from None
