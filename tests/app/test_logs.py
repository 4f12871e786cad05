"""Tests for `mailplat.app.logs`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, Logger, LogLevel, formatEventAsClassicLogText

from mailplat.app.logs import make_observer, open_log, text_line


def lines(form: str, level: str = "info") -> tuple[Logger, io.StringIO]:
    """A logger, and what its events become."""
    out = io.StringIO()
    return Logger(namespace="mailplat.part", observer=make_observer(out, form, level)), out


def objects(out: io.StringIO) -> list[dict[str, Any]]:
    """Read the lines back."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_carries_every_value() -> None:
    """An event is one object; what it carries stands under its own name."""
    logger, out = lines("json")
    logger.info(
        "{session} stored {queue_id}\nsecond line", session="s1", queue_id="q1", odd=b"\xff"
    )
    (event,) = objects(out)
    assert event["message"] == "s1 stored q1\nsecond line"
    assert (event["level"], event["part"], event["session"]) == ("info", "mailplat.part", "s1")
    assert event["odd"] == repr(b"\xff")
    assert event["time"].endswith("+00:00")


def test_json_has_tracebacks() -> None:
    """A failure's traceback is in the same line."""
    logger, out = lines("json")
    try:
        raise ValueError("broken")
    except ValueError:
        logger.failure("{session} failed", session="s1")
    (event,) = objects(out)
    assert event["message"] == "s1 failed"
    assert "ValueError: broken" in event["traceback"]


def test_levels() -> None:
    """What is milder than the level is left out, in both forms."""
    for form in ("json", "text"):
        logger, out = lines(form, "warn")
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error):
            logger.emit(level, "level {name}", name=level.name)
        assert [word in out.getvalue() for word in ("debug", "info", "warn", "error")] == [
            False,
            False,
            True,
            True,
        ]


def test_open_log(tmp_path: Path) -> None:
    """A log file is made and appended to."""
    for _ in range(2):
        out = open_log(str(tmp_path / "log"))
        Logger(observer=make_observer(out, "text", "info")).info("hello")
        out.close()
    assert (tmp_path / "log").read_text().count("hello") == 2


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (
            "{session} {size:>6}: accepted from <{sender}>",
            {"session": "s", "size": 5, "sender": ""},
        ),
        ("{what!r} and {map[key]}", {"what": "a\nb", "map": {"key": 1}}),
        ("{call()} {braces}", {"call": lambda: "called", "braces": "{session}"}),
        ("{missing}", {}),
        ("two\nlines, {bad}", {"bad": b"\xff"}),
        ("", {}),
    ],
)
def test_text_is_as_twistd_has_it(words: str, values: dict[str, object]) -> None:
    """A line reads as twistd's own does, whatever the event carries."""
    events: list[LogEvent] = []
    Logger(namespace="mailplat.part", observer=events.append).info(words, **values)  # type: ignore[arg-type]
    (event,) = events
    assert text_line(event) == (formatEventAsClassicLogText(event) or "")
    assert text_line({**event, "log_system": "-"}).count(" [-] ") == bool(words)


def test_text_has_tracebacks() -> None:
    """A failure's traceback follows its words; no line of it can be taken for another event."""
    logger, out = lines("text")
    try:
        raise ValueError("broken\n2026-01-01T12:00:00+0000 [forged] line")
    except ValueError:
        logger.failure("{session} failed", session="s1")
    first, *rest = out.getvalue().splitlines()
    assert first.endswith("[mailplat.part#critical] s1 failed")
    assert any("ValueError: broken" in line for line in rest)
    assert all(line.startswith("\t") for line in rest)
