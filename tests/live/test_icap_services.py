"""The filter that asks ICAP services, with Debian's c-icap: its virus scanner, and its echo."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from mailplat.model.verdict import Action
from mailplat.testing.icap_services import IcapDaemon, c_icap_modules, start_c_icap
from mailplat.testing.scanners import (
    CLEAN,
    EICAR,
    ScannerContract,
    Under,
    asked,
    mail_with,
)
from mailplat.testing.twistd import Installation, TwistdServer


@pytest.fixture(scope="session")
def service(
    needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IcapDaemon]:
    """One c-icap."""
    needs("c-icap")
    needs("clamd")
    if c_icap_modules() is None:
        needs("libc-icap-mod-virus-scan")
    one = start_c_icap(tmp_path_factory.mktemp("c-icap"))
    yield one
    one.stop()


@pytest.fixture
def under(service: IcapDaemon) -> Under:
    """Its virus scanner, for the contract."""
    return Under(service.use, EICAR, {"found": "quarantine"}, "X-Virus-Status")


class TestVirusScan(ScannerContract):
    """The real one is as its fake is."""

    @pytest.mark.parametrize("method", ["respmod", "reqmod"])
    @pytest.mark.parametrize("preview", [True, False])
    @pytest_twisted.ensureDeferred
    async def test_both_ways(self, under: Under, method: str, *, preview: bool) -> None:
        """As a response and as a request, with a preview and without."""
        options = {"method": method, "preview": preview}
        for size in (0, 300_000):
            clean, bad = mail_with(CLEAN, size=size), mail_with(EICAR, size=size)
            assert (await asked(under.use, clean, options=options)).action is Action.CONTINUE
            verdict = await asked(under.use, bad, options=options)
            assert verdict.action is Action.REJECT
            assert "Eicar" in verdict.reason

    def test_in_a_server(self, under: Under, tmp_path: Path) -> None:
        """Bad mail is refused, clean mail arrives, over connections that are kept."""
        installation = Installation.make(tmp_path, "memory:", users=1)
        with installation.configuration.open("a") as file:
            file.write(f'\n[[filter]]\nuse = "{under.use}"\n')
        server = TwistdServer(installation)
        (alice,) = installation.users
        try:
            server.start()
            for _ in range(2):
                server.send(alice, mail_with(CLEAN))
                with pytest.raises(smtplib.SMTPDataError) as caught:
                    server.send(alice, mail_with(EICAR))
                assert b"Virus found: Eicar" in caught.value.smtp_error
            assert all(b"X-Virus-Status: Clean" in one for one in server.bodies(alice))
            server.stop()
            assert not server.complaints()
        finally:
            server.end()


@pytest.mark.parametrize("preview", [True, False])
@pytest_twisted.ensureDeferred
async def test_echo(service: IcapDaemon, *, preview: bool) -> None:
    """A service that sends everything back has nothing against anything."""
    use = f"icap:icap://127.0.0.1:{service.port}/echo"
    for size in (0, 300_000):
        verdict = await asked(use, mail_with(CLEAN, size=size), options={"preview": preview})
        assert verdict.action is Action.CONTINUE
        assert len(verdict.changes) == 1


@pytest_twisted.ensureDeferred
async def test_no_such_service(service: IcapDaemon) -> None:
    """A service that there is not fails the filter, and the reason names it."""
    use = f"icap:icap://127.0.0.1:{service.port}/nothing"
    with pytest.raises(Exception, match=f"icap://127.0.0.1:{service.port}/nothing: OPTIONS: "):
        await asked(use, mail_with(CLEAN))
