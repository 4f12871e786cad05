"""Tests for `mailplat.app.parts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailplat.app.parts import check_part, find_plugin, make_filter, make_imap_extension
from mailplat.config.faults import ConfigurationFaults
from mailplat.config.load import parse
from mailplat.interfaces.imap_extensions import ExtensionSettings
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.model.errors import ConfigurationFault


def test_names_what_there_is() -> None:
    """An unknown prefix is answered with the known ones."""
    with pytest.raises(ConfigurationFault, match=r"no filter called 'sender';.*senders"):
        make_filter("sender:x", FilterSettings(None))
    with pytest.raises(ConfigurationFault, match="installed are: none"):
        find_plugin(IFilterPlugin, "x", found=[])


def test_an_extension_of_imap() -> None:
    """Extensions of IMAP are found by their prefix, and may refuse an argument."""
    settings = ExtensionSettings(None)
    assert make_imap_extension("unauthenticate", settings).capability == "UNAUTHENTICATE"
    with pytest.raises(ConfigurationFault, match=r"no imap extension called 'un';.*unauthenticate"):
        make_imap_extension("un", settings)
    with pytest.raises(ConfigurationFault, match="nothing behind the colon"):
        make_imap_extension("unauthenticate:x", settings)


def test_a_configuration_names_extensions_that_there_are(tmp_path: Path) -> None:
    """An extension that nobody brings is told with its line."""
    text = '[imap]\nextensions = ["unauthenticate", "nothing:x"]\n'
    with pytest.raises(ConfigurationFaults, match=r"f:2: imap.extensions\[2\]: there is no imap"):
        parse(text, "f", tmp_path, {}, check_part=check_part)


def test_kinds_of_clients(tmp_path: Path) -> None:
    """A kind of client is a table of its own."""
    text = (
        '[[imap.client]]\nclient = "*Look*"\ndisabled_capabilities = ["IDLE"]\n'
        '[[imap.client]]\nclient = "x"\nversion = "1.*"\n'
    )
    first, second = parse(text, "f", tmp_path, {}, check_part=check_part).imap.clients
    assert (first.client, first.version, first.disabled_capabilities) == ("*Look*", "*", ("IDLE",))
    assert (second.version, second.disabled_capabilities) == ("1.*", ())
