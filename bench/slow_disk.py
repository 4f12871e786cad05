"""A disk whose flushes take longer than those of the disk at hand, for one process.

The disks of virtual machines often flush in a quarter of a millisecond, since somebody else's cache
answers; an SSD without a capacitor takes 1 to 5 ms, a hard disk 8 and more.  A small library in
front of libc adds the difference; what is written and flushed stays the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["slow_flushes"]

_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int slowly(const char *name, int descriptor)
{
    int (*flush)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
    int result = flush(descriptor);
    struct timespec rest = {0, NANOSECONDS};
    nanosleep(&rest, 0);
    return result;
}

int fsync(int descriptor) { return slowly("fsync", descriptor); }
int fdatasync(int descriptor) { return slowly("fdatasync", descriptor); }
"""


@contextmanager
def slow_flushes(milliseconds: float) -> Iterator[bool]:
    """Let processes that are started meanwhile flush so much slower; whether that can be."""
    compiler = shutil.which("cc")
    if compiler is None:
        yield False
        return
    with tempfile.TemporaryDirectory(prefix="mailplat-bench-") as folder:
        source, library = Path(folder, "slow.c"), Path(folder, "slow.so")
        source.write_text(_SOURCE)
        rest = f"-DNANOSECONDS={int(milliseconds * 1e6)}"
        command = [compiler, "-shared", "-fPIC", rest, "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        os.environ["LD_PRELOAD"] = str(library)
        try:
            yield True
        finally:
            del os.environ["LD_PRELOAD"]
