"""docs/maildir.md is true: its configuration can be used, and it names every option."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import reactor

from mailplat.app.parts import check_part, make_store
from mailplat.config.load import parse
from mailplat.config.option import options_of
from mailplat.config.reference import options_table
from mailplat.config.values import duration, size
from mailplat.interfaces.plugins import StoreSettings
from mailplat.store.maildir.bodies import MaildirLimits
from mailplat.store.maildir.options import MaildirOptions, limits_of

PAGE = (Path(__file__).parents[2] / "docs" / "maildir.md").read_text()
BASE = '[server]\nhostname = "mail.example.org"\ndomains = ["example.org"]\n'


def test_example_can_be_used(tmp_path: Path) -> None:
    """It is read without a fault, says what it seems to say, and a store can be made of it."""
    (example,) = re.findall(r"^```toml title=\S+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    found: Any = parse(BASE + example, "maildir.toml", tmp_path, {}, check_part=check_part)
    options = found.store.options
    assert options == MaildirOptions(poll=duration("10s"), carried_size=size("0"))
    settings = StoreSettings(reactor, str(tmp_path), options=options)
    assert make_store(f"maildir:{tmp_path}", settings) is not None


def test_every_option_is_told() -> None:
    """The page has the table of the options as they are defined."""
    for line in options_table(MaildirOptions):
        assert line in PAGE


def test_every_option_is_used() -> None:
    """The defaults are those of the store, and each option changes something there."""
    assert limits_of(MaildirOptions()) == MaildirLimits()
    for one in options_of(MaildirOptions):
        more: dict[str, Any] = {one.attribute: one.default + 1}
        changed = attrs.evolve(MaildirOptions(), **more)
        assert limits_of(changed) != MaildirLimits(), one.name
