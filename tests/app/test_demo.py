"""Tests for `mailplat.app.demo`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailplat.app.demo import prepare_demo
from mailplat.config.load import load
from mailplat.model.errors import ConfigurationFault


def test_made_once_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first start makes the installation, the second leaves it as it is."""
    file = Path(prepare_demo(str(tmp_path / "demo")))
    file.write_text(file.read_text() + "# mine\n")
    assert prepare_demo(str(tmp_path / "demo")) == str(file)
    assert file.read_text().endswith("# mine\n")
    assert load(file).server.port_offset == 8000
    assert "alice@example.org" in capsys.readouterr().out


def test_says_why_it_cannot(tmp_path: Path) -> None:
    """Where it cannot be made, the fault says why."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "accounts").write_text("")
    with pytest.raises(ConfigurationFault, match="data/accounts is there already"):
        prepare_demo(str(tmp_path))
