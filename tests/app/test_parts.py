"""Tests for `mailplat.app.parts`."""

from __future__ import annotations

import pytest

from mailplat.app.parts import find_plugin, make_filter
from mailplat.interfaces.plugins import FilterSettings, IFilterPlugin
from mailplat.model.errors import ConfigurationFault


def test_names_what_there_is() -> None:
    """An unknown prefix is answered with the known ones."""
    with pytest.raises(ConfigurationFault, match=r"no filter called 'sender';.*senders"):
        make_filter("sender:x", FilterSettings(None))
    with pytest.raises(ConfigurationFault, match="installed are: none"):
        find_plugin(IFilterPlugin, "x", found=[])
