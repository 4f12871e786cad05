"""Tests for `mailplat.app.parts`."""

from __future__ import annotations

import pytest

from mailplat.app.parts import find_plugin, make_filter, make_imap_extension
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
