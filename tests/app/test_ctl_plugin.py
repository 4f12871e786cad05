"""Tests for ``mailplatctl plugin``: what it writes can be installed and passes its own test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailplat.app.ctl.main import main
from mailplat.app.ctl.templates import KINDS


def ctl(*words: str) -> Result:
    """Run mailplatctl."""
    return CliRunner().invoke(main, ["plugin", *words])


def run(*words: str, path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python module as somebody does who has a package installed in ``path``."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("kind", list(KINDS))
def test_new(kind: str, tmp_path: Path) -> None:
    """A new package installs, its test passes, and its plugin is found."""
    made = ctl("new", kind, "acme", "--directory", str(tmp_path / "source"))
    assert made.exit_code == 0, made.output
    site = tmp_path / "site"
    install = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    pip = run(*install, "--target", str(site), ".", path=site, cwd=tmp_path / "source")
    assert pip.returncode == 0, pip.stdout + pip.stderr

    tests = tmp_path / "source" / "tests"
    tried = run("pytest", "-q", "-p", "no:cacheprovider", "-x", path=site, cwd=tests)
    assert tried.returncode == 0, tried.stdout + tried.stderr

    listed = run("mailplat.app.ctl", "plugin", "list", "--json", path=site, cwd=tmp_path)
    told = json.loads(listed.stdout)
    (row,) = [row for row in told["plugins"] if row["prefix"] == "acme"]
    assert row["kind"].startswith(kind)
    assert row["distribution"].replace("-", "_") == "mailplat_acme 0.1.0"
    assert row["where"] == str(site / "mailplat_acme" / "plugin.py")
    assert told["broken"] == []


@pytest.mark.parametrize("name", ["Acme", "a-b", "9a", "a" * 41, "../x", ""])
def test_names(name: str, tmp_path: Path) -> None:
    """What cannot be a Python name and a prefix is refused."""
    refused = ctl("new", "filter", "--directory", str(tmp_path), "--", name)
    assert refused.exit_code == 2
    assert "lower case letters" in refused.output
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder with something in it stays as it is."""
    (tmp_path / "mine").write_text("")
    refused = ctl("new", "agent", "acme", "--directory", str(tmp_path))
    assert refused.exit_code == 1
    assert "not empty" in refused.output
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_list() -> None:
    """Our own plugins are listed by kind, with their files."""
    listed = ctl("list")
    assert listed.exit_code == 0
    lines = [line.split()[:2] for line in listed.output.splitlines()]
    assert lines[0] == ["KIND", "PREFIX"]
    assert ["agent", "webhook"] in lines
    assert ["store", "maildir"] in lines


def test_list_tells_what_is_broken(tmp_path: Path) -> None:
    """A module that cannot be loaded is named with the reason; the rest is listed."""
    plugins = tmp_path / "mailplat" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "acme_bad.py").write_text("import nosuch\n")
    listed = run("mailplat.app.ctl", "plugin", "list", path=tmp_path, cwd=tmp_path)
    assert listed.returncode == 1
    assert "acme_bad: ModuleNotFoundError: No module named 'nosuch'" in listed.stderr
    assert "maildir" in listed.stdout
