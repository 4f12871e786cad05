"""``python -m bench.fuzz [--inputs N] [--seed N] [TARGET...]``: try random input on what is pure.

What breaks a target is shown with its seed and number, by which it can be had again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mailplat.testing.fuzzing.running import fuzz
from mailplat.testing.fuzzing.targets import TARGETS

__all__ = ["main"]


def main(arguments: Sequence[str]) -> None:
    """Read the command line, and try."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000, help="how many for each target")
    parser.add_argument("--seed", type=int, default=0, help="where chance begins")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    for name in options.targets or TARGETS:
        outcome = fuzz(TARGETS[name], options.inputs, options.seed)
        rate = outcome.inputs / outcome.seconds
        print(
            f"{name:12} {outcome.inputs:>9,} inputs, {outcome.seconds:7.1f} s, {rate:8,.0f}/s, "
            f"grown by {outcome.grown / 1024:,.0f} KiB",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
