"""Where relayed mail ends: Postfix's ``smtp-sink``, one for each exchanger, and how much came.

Each has an address of its own below 127.0.1.0 and all have one port, so that a name server can
lead any number of domains to as many hosts.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["Sinks", "free_port", "sinking"]

_TOLD = re.compile(rb"mesg=(\d+)")
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin"


def free_port(hosts: Sequence[str]) -> int:
    """Find a port that is free on all of these addresses."""
    while True:
        port = random.randrange(10_000, 31_000)  # below the ports that clients are given
        if all(_free(host, port) for host in hosts):
            return port


def _free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Sinks:
    """Some sinks that run.

    Args:
        program: The path of ``smtp-sink``.
        count: How many.

    Attributes:
        hosts: Their addresses.
        port: The one of all.
    """

    def __init__(self, program: str, count: int) -> None:
        self.hosts = [f"127.0.{1 + n // 250}.{1 + n % 250}" for n in range(count)]
        self.port = free_port(self.hosts)
        as_user = ["-u", "postfix"] if os.geteuid() == 0 else []
        self._processes = [
            subprocess.Popen(
                [program, *as_user, "-c", f"{host}:{self.port}", "200"], stdout=subprocess.PIPE
            )
            for host in self.hosts
        ]
        self._counts = [0] * count
        self._before = 0
        for process in self._processes:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)

    def total(self) -> int:
        """Tell how many mails came since `forget`."""
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            said = process.stdout.read()
            if said and (told := _TOLD.findall(said)):
                self._counts[number] = int(told[-1])
        return sum(self._counts) - self._before

    def forget(self) -> None:
        """Count from 0 again."""
        self._before += self.total()

    def wait(self, count: int, *, seconds: float = 600.0) -> None:
        """Wait until so many mails came.

        Raises:
            RuntimeError: They did not.
        """
        end = time.perf_counter() + seconds
        while (came := self.total()) < count:
            if time.perf_counter() > end:
                raise RuntimeError(f"{came} of {count} mails came in {seconds:.0f} s")
            time.sleep(0.02)

    def answer(self) -> bool:
        """Tell whether all of them greet."""
        try:
            for host in self.hosts:
                with socket.create_connection((host, self.port), 5) as wire:
                    if not wire.recv(3):
                        return False
        except OSError:
            return False
        return True

    def end(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@contextmanager
def sinking(count: int) -> Iterator[Sinks | None]:
    """Run some sinks; none where ``smtp-sink`` is not installed."""
    program = shutil.which("smtp-sink", path=_PATH)
    if program is None:
        yield None
        return
    sinks = Sinks(program, count)
    try:
        end = time.perf_counter() + 20
        while not sinks.answer():
            if time.perf_counter() > end:
                raise RuntimeError("smtp-sink does not answer")
            time.sleep(0.05)
        yield sinks
    finally:
        sinks.end()
