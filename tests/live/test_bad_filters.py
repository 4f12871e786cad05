"""Filters that do everything wrong, in a real server: nobody is lost, nothing passes or leaks."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailplat.testing.twistd import Installation, TwistdServer, until

pytestmark = pytest.mark.live

SECRET = "the-filter-knows-this"

PLUGIN = f'''
import os, sys, time
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer
from mailplat.interfaces.filters import IFilter, IStages, Stage, Stages
from mailplat.interfaces.plugins import IFilterPlugin
from mailplat.model.verdict import *

async def endless():
    while True:
        try:
            await Deferred()
        except BaseException:
            pass

def recursive():
    return recursive()

ACTS = {{
    "raises": lambda: 1 / len("{SECRET}"[:0]),
    "exits": lambda: sys.exit("{SECRET}"),
    "recurses": recursive,
    "waits": endless,
    "blocks": lambda: time.sleep(1.5),
    "nonsense": lambda: "{SECRET}",
    "headers": lambda: Verdict(changes=(AddHeader("X-A", "{SECRET}"),) * 10_000),
    "injects": lambda: Verdict(changes=(AddHeader("X-A\\r\\nBcc", "{SECRET}"),)),
    "huge": lambda: Verdict(changes=(ReplaceBody(b"x" * 60_000_000),)),
    "reply": lambda: Verdict(Action.REJECT, reply="{SECRET}"),
    "folds": lambda: Verdict(changes=(AddHeader("X-A", "b\\r\\nX-Injected: c"),)),
}}

@implementer(IStages)
class Acting(Stages):
    def message(self, context, mail):
        return ACTS.get(context.sender.address.local, lambda: CONTINUE)()

@implementer(IFilter)
class Bad:
    stages = (Stage.MESSAGE,)

    def __init__(self, name, blocking):
        self.name, self.blocking = name, blocking

    def open(self):
        return Acting()

@implementer(IPlugin, IFilterPlugin)
class BadPlugin:
    prefix = "bad"

    def filter(self, name, argument, settings):
        return Bad(name, argument == "blocking")

bad = BadPlugin()
'''


@pytest.fixture(params=["", "blocking"])
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[TwistdServer]:
    """A server with such a filter, asked in the reactor or in a thread."""
    plugins = tmp_path / "mailplat" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "bad.py").write_text(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = {
        "filtering": 'stall_notice = "300ms"',
        "[filter]": f'use = "bad:{request.param}"\ntimeout = "600ms"\nmax_failures = 0',
    }
    server = TwistdServer(Installation.make(tmp_path, "memory:", users=2, options=options))
    server.start()
    yield server
    server.end()


def test_nothing_that_a_filter_does_matters(server: TwistdServer) -> None:
    """Each of them is deferred in time with nothing of the filter's text; others are served."""
    user = server.installation.users[0]
    wrong = [
        "raises",
        "exits",
        "recurses",
        "waits",
        "blocks",
        "nonsense",
        "headers",
        "injects",
        "huge",
        "reply",
    ]
    with server.smtp() as client:
        for act in wrong:
            with pytest.raises(smtplib.SMTPDataError) as raised:
                client.sendmail(f"{act}@elsewhere.example", [user], b"Subject: x\r\n\r\nx\r\n")
            assert raised.value.smtp_code == 451, act
            assert SECRET.encode() not in raised.value.smtp_error
    server.send(user, b"Subject: good\r\n\r\nhello\r\n")
    server.send(user, b"Subject: folded\r\n\r\nhello\r\n", sender="folds@elsewhere.example")
    good, folded = server.bodies(user)
    assert b"Subject: good" in good
    assert b"\r\nX-A: b X-Injected: c\r\n" in folded
    log = server.log()
    if "abandoned" in log:  # in a thread
        assert "held up" not in log
    else:
        until(lambda: "the reactor has been held up" in server.log())
        assert "time.sleep(1.5)" in log
    server.stop()
