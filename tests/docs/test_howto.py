"""The how-to pages are true: their files, laid out as they say, pass their own tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```\w+ title=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_there_are_pages() -> None:
    """A store, a filter and a delivery agent are explained."""
    assert {page.stem for page in PAGES} >= {"store", "filter", "agent"}


def install(source: Path) -> Path:
    """Install a package as the page says, but into a folder, which is given."""
    site = source / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    run = subprocess.run(
        [*pip, "--no-build-isolation", "--target", str(site), "."],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return site


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_runs(page: Path, tmp_path: Path) -> None:
    """Whoever copies a page's files into an empty folder sees its tests pass."""
    files = BLOCK.findall(page.read_text())
    assert any(Path(name).name.startswith("test_") for name, _ in files)
    for name, text in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    path = tmp_path
    if (tmp_path / "pyproject.toml").exists():
        path = install(tmp_path)
        for module in tmp_path.glob("acme*.py"):
            module.rename(tmp_path / f"{module.name}.source")  # it is the installed one that runs
    environment = {**os.environ, "PYTHONPATH": str(path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
