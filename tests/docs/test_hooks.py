"""The hook reference is whole and fresh."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from mailplat.app.hook_pages import render_hooks
from mailplat.interfaces.filters import Context, IStages, Mail, Stage, Stages
from mailplat.interfaces.hooks import Denial, QueuedMail, Report
from mailplat.model.verdict import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"


def test_the_page_is_what_the_code_says() -> None:
    """Whoever changes a hook writes the page anew (python -m mailplat.app.hook_pages)."""
    assert PAGE.read_text() == render_hooks()


@pytest.mark.parametrize("stage", Stage)
def test_every_hook_is_documented(stage: Stage) -> None:
    """A stage has a method in the interface and in `Stages`, with the same parameters and words."""
    method, inherited = IStages[stage.value], getattr(Stages, stage.value)
    assert len(method.getDoc()) > 20
    names = list(inspect.signature(inherited).parameters)[1:]
    assert list(method.getSignatureInfo()["positional"]) == names
    assert f"## `{stage.value}({', '.join(names)})`" in PAGE.read_text()


def test_no_hook_but_the_stages() -> None:
    """The interface has no method that no stage leads to."""
    assert set(IStages.names()) == {stage.value for stage in Stage}


@pytest.mark.parametrize("kind", [Context, Mail, Denial, QueuedMail, Report, Verdict])
def test_every_attribute_is_explained(kind: type) -> None:
    """What hooks are given is explained to its last attribute."""
    section = PAGE.read_text().split(f"## `{kind.__name__}`" if kind is not Verdict else "## Verdi")
    rows = [line for line in section[1].split("\n## ")[0].splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]
