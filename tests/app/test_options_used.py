"""Every option does something: the application, or the configuration itself, reads it."""

from __future__ import annotations

import re
from pathlib import Path

from mailplat.config.option import options_of, row_class, table_class
from mailplat.config.options import Configuration

ROOT = Path(__file__).parents[2] / "mailplat"


def test_every_option_is_read() -> None:
    """No option is defined that nothing looks at."""
    sources = [*ROOT.glob("app/*.py"), ROOT / "config/listeners.py"]
    text = "\n".join(path.read_text() for path in sources)
    tables: list[type] = [Configuration]
    for table in tables:
        for option in options_of(table):
            assert re.search(rf"\.{option.attribute}\b", text), f"{table.__name__}: {option.name}"
            if inside := table_class(option.type) or row_class(option.type):
                tables.append(inside)
