"""``make simulate``: many seeds, or one with its trace."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from .program import ON_DISK, THEMES, Op, make_program
from .run import PLUGINS, Failure, make_bundles, run


def program_of(seed: int, names: Sequence[str] = ()) -> list[Op]:
    """Return the program that belongs to a seed, of these operations or of those of one theme."""
    theme = ON_DISK if durable_of(seed) else THEMES[seed % len(THEMES)]
    return make_program(Random(seed ^ 0x5EED).randint, names=names or theme)


def durable_of(seed: int) -> Sequence[int]:
    """Return the plugins whose frames outlive the system: all, in every fifth seed."""
    return PLUGINS if seed % 5 == 3 else ()


def attempt(seed: int, bundles: Path, names: Sequence[str] = ()) -> str | None:
    """Run one seed; returns what went wrong."""
    try:
        run(seed, program_of(seed, names), bundles, durable=durable_of(seed))
    except Failure as failure:
        return str(failure)
    return None


def _attempt(work: tuple[int, Path]) -> tuple[int, str | None]:
    return work[0], attempt(*work)


def main() -> int:
    """Run the seeds that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nyxsim") as folder:
        bundles = make_bundles(Path(folder))
        if options.seed is not None:
            return _replay(options.seed, bundles)
        return _many(range(options.first, options.first + options.seeds), bundles, options.jobs)


def _replay(seed: int, bundles: Path) -> int:
    try:
        run(seed, program_of(seed), bundles, print, durable=durable_of(seed))
    except Failure as failure:
        print(failure)
        return 1
    print(f"seed {seed}: every promise held")
    return 0


def _many(seeds: range, bundles: Path, jobs: int) -> int:
    began, failed = time.perf_counter(), 0
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for seed, fault in pool.imap_unordered(_attempt, [(seed, bundles) for seed in seeds], chunksize=8):
            if fault is not None:
                failed += 1
                print(f"{fault}\n  replay with: make simulate SEED={seed}", flush=True)
    print(f"{len(seeds)} seeds, {failed} failed, {time.perf_counter() - began:.0f} s")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
