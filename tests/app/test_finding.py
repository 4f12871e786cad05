"""Tests for `mailplat.app.finding`: plugins of other packages on sys.path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat import plugins
from mailplat.app import finding
from mailplat.app.finding import find_all
from mailplat.app.parts import find_plugin
from mailplat.interfaces.plugins import IFilterPlugin
from mailplat.model.errors import ConfigurationFault

GOOD = """
from mailplat.filters.function import asked_at

@asked_at("sender")
def {name}(context, sender):
    return None

also = {name}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path, where packages may be installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = list(plugins.__path__)
    (tmp_path / "mailplat" / "plugins").mkdir(parents=True)
    finding._points.cache_clear()
    yield tmp_path
    plugins.__path__[:] = before
    finding._points.cache_clear()
    for name in [one for one in sys.modules if one.startswith(("mailplat.plugins.acme", "acme_"))]:
        del sys.modules[name]


def install(path: Path, name: str, line: str) -> None:
    """Install a distribution that has an entry point."""
    info = path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{finding.ENTRY_POINTS}]\n{line}\n")


def test_dropins(path: Path) -> None:
    """A module in a folder mailplat/plugins on sys.path is found, each plugin in it once."""
    file = path / "mailplat" / "plugins" / "acme_drop.py"
    file.write_text(GOOD.format(name="dropped"))
    found, broken = find_all()
    (one,) = [one for one in found if one.plugin.prefix == "dropped"]
    assert one.where == str(file)
    assert one.entry_point is None
    assert broken == []
    assert found[0].plugin.__module__.startswith("mailplat.plugins.mailplat_")


@pytest.mark.parametrize("value", ["acme_point:pointed", "acme_point"])
def test_entry_points(path: Path, value: str) -> None:
    """An entry point names a plugin, or a module with plugins."""
    (path / "acme_point.py").write_text(GOOD.format(name="pointed"))
    install(path, "acme", f"it = {value}")
    found, _ = find_all()
    (one,) = [one for one in found if one.plugin.prefix == "pointed"]
    assert one.entry_point is not None
    assert one.entry_point.name == "it"
    assert find_plugin(IFilterPlugin, "pointed") is one.plugin


def test_broken_ones_hide_no_other(path: Path) -> None:
    """What cannot be loaded is told with its reason, and the others are there."""
    (path / "mailplat" / "plugins" / "acme_bad.py").write_text("import nosuch_module\n")
    (path / "mailplat" / "plugins" / "acme_worse.py").write_text("def :\n")
    (path / "mailplat" / "plugins" / "acme_zz.py").write_text(GOOD.format(name="after"))
    install(path, "acme2", "gone = acme_nowhere:x")
    found, broken = find_all()
    assert "after" in {one.plugin.prefix for one in found}
    reasons = {one.name: one.why for one in broken}
    assert reasons["mailplat.plugins.acme_bad"].startswith("ModuleNotFoundError: No module")
    assert reasons["mailplat.plugins.acme_worse"].startswith("SyntaxError")
    assert "ModuleNotFoundError" in reasons["entry point gone of acme2 (acme_nowhere:x)"]
    with pytest.raises(ConfigurationFault, match="acme_bad cannot be loaded: ModuleNotFound"):
        find_plugin(IFilterPlugin, "lost")
