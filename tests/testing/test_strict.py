"""Tests for `mailplat.testing.strict`: what a test leaves behind fails it."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

LEAVES = {
    "a delayed call": "from twisted.internet import reactor; reactor.callLater(60, print)",
    "a lost error": "from twisted.internet.defer import fail; fail(ValueError('lost'))",
    "a logged error": "from twisted.logger import Logger; Logger().error('bad')",
}


@pytest.mark.parametrize("what", LEAVES)
def test_fails_for_what_is_left(pytester: pytest.Pytester, what: str) -> None:
    """A test that leaves something behind passes by itself, and fails with the plugin."""
    pytester.makepyfile(f"def test_it():\n    {LEAVES[what]}\n")
    result = pytester.runpytest_subprocess("-p", "mailplat.testing.strict")
    result.assert_outcomes(passed=1, errors=1)


def test_flushed_errors_are_expected(pytester: pytest.Pytester) -> None:
    """An error that the test took out does not fail it."""
    pytester.makepyfile(
        "from twisted.logger import Logger\n"
        "def test_it(logged_errors):\n"
        "    Logger().error('bad')\n"
        "    assert len(logged_errors.flush()) == 1\n"
    )
    result = pytester.runpytest_subprocess("-p", "mailplat.testing.strict")
    result.assert_outcomes(passed=1)
