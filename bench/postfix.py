"""A Postfix of the bench's own: its configuration, queue and log in a folder, one port on loopback.

Its settings are Postfix's defaults, but that nothing is looked up in DNS and no client is slowed.
It is Debian's; it has to be started by root.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.sinks import free_port

__all__ = ["Postfix", "postfix_running"]

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = {folder}/etc
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/postfix.log
maillog_file_prefixes = /
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.bench.example
mydomain = bench.example
mydestination =
mynetworks = 127.0.0.0/8
relayhost =
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
disable_dns_lookups = yes
transport_maps = hash:{folder}/etc/transport
smtpd_client_restrictions = check_client_access static:{access}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
smtpd_tls_security_level = none
smtp_tls_security_level = none
"""

_MASTER = """\
127.0.0.1:{port} inet n - n - 200 smtpd
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
flush     unix  n       -       n       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
showq     unix  n       -       n       -       -       showq
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
"""


class Postfix:
    """An instance in a folder.

    Args:
        folder: Its own.
        ways: The address and port of the host that takes a domain's mail.

    Attributes:
        port: Where it takes mail for them.
    """

    def __init__(self, folder: Path, ways: Mapping[str, tuple[str, int]]) -> None:
        self._folder = folder
        self.port = free_port(["127.0.0.1"])
        for name in ("etc", "queue", "data", "log"):
            (folder / name).mkdir()
        os.chmod(folder, 0o755)
        shutil.chown(folder / "data", "postfix")
        etc = folder / "etc"
        for name in ("postfix-files", "dynamicmaps.cf"):
            shutil.copy(f"/etc/postfix/{name}", etc / name)
        lines = [f"{domain} smtp:[{host}]:{port}\n" for domain, (host, port) in ways.items()]
        (etc / "transport").write_text("".join(lines))
        (etc / "master.cf").write_text(_MASTER.format(port=self.port))
        self._configure("DUNNO")
        self._run("postmap", f"hash:{etc}/transport")

    def start(self) -> None:
        """Start it, and wait for it."""
        self._run("postfix", "start")
        end = time.perf_counter() + 20
        while _closed(self.port):
            if time.perf_counter() > end:
                raise RuntimeError("Postfix did not start")
            time.sleep(0.05)

    def hold(self) -> None:
        """Keep back what comes from now on."""
        self._configure("HOLD")
        self._run("postfix", "reload")
        time.sleep(1)

    def release(self) -> None:
        """Let all of it go, now."""
        self._run("postsuper", "-H", "ALL")
        self._run("postqueue", "-f")

    def open(self) -> None:
        """Keep nothing back any more."""
        self._configure("DUNNO")
        self._run("postfix", "reload")
        time.sleep(1)

    def stop(self) -> None:
        """Stop it."""
        self._run("postfix", "stop")

    def _configure(self, access: str) -> None:
        (self._folder / "etc" / "main.cf").write_text(
            _MAIN.format(folder=self._folder, access=access)
        )

    def _run(self, program: str, *words: str) -> None:
        command = [f"/usr/sbin/{program}", "-c", str(self._folder / "etc"), *words]
        subprocess.run(command, check=True, capture_output=True, timeout=300)


def _closed(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as wire:
            return wire.recv(3) != b"220"
    except OSError:
        return True


@contextmanager
def postfix_running(
    directory: Path | None, ways: Mapping[str, tuple[str, int]]
) -> Iterator[Postfix]:
    """Run an instance over an empty queue.

    Args:
        directory: Where its folder is made; None is the system's choice.
        ways: See `Postfix`.
    """
    with tempfile.TemporaryDirectory(prefix="postfix-bench-", dir=directory) as folder:
        postfix = Postfix(Path(folder), ways)
        postfix.start()
        try:
            yield postfix
        finally:
            postfix.stop()
