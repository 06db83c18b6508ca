"""The command line of `scripts/power`: many recorded lives, each crashed at many points, until the time is over."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from node.edge.storage.errors import StoreError
from node.ledger.errors import LedgerError
from node.testing import signals
from node.testing.options import count, count_or_none
from node.testing.power.replay import Crashes, lose_engine_power, lose_power
from node.testing.power.vfs import VfsUnavailable

PROGRESS_EVERY = 10
BLOCKS_PER_TURN = 6
"""About, of an engine's life."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; 0 when every promise was kept after every crash."""
    options = _parser().parse_args(arguments)
    found: list[Crashes] = []
    failed: list[int] = []
    try:
        with signals.raised():
            return _search(options, found, failed)
    except KeyboardInterrupt:
        _summary(found, failed)
        return signals.interrupted("power", f" in seed {options.seed + len(found) + len(failed)}")


def _search(options: argparse.Namespace, found: list[Crashes], failed: list[int]) -> int:
    until = time.monotonic() + options.minutes * 60
    seed = options.seed
    while seed == options.seed or (time.monotonic() < until and seed < options.seed + options.seeds):
        scratch = Path(tempfile.mkdtemp(prefix="lepton-power-"))
        try:
            found.append(asyncio.run(_lose(scratch, seed, options)))
        except KeyboardInterrupt:
            shutil.rmtree(scratch)
            raise
        except VfsUnavailable as error:
            print(f"nothing was recorded: {error}", file=sys.stderr)
            return 2
        except (AssertionError, StoreError, LedgerError) as error:
            failed.append(seed)
            print(f"seed {seed} FAILED: {error}", file=sys.stderr)
            how = "--engine " if options.engine else ""
            replay = f"{how}--seed {seed} --seeds 1 --blocks {options.blocks} --points {options.points}"
            print(f"  replay it with: scripts/power {replay}", file=sys.stderr)
            print(f"  its last disk is in {scratch}", file=sys.stderr)
        else:
            shutil.rmtree(scratch)
        seed += 1
        if (seed - options.seed) % PROGRESS_EVERY == 0:
            print(f"{seed - options.seed} seeds", file=sys.stderr, flush=True)
    _summary(found, failed)
    return 1 if failed else 0


async def _lose(scratch: Path, seed: int, options: argparse.Namespace) -> Crashes:
    if options.engine:
        return await lose_engine_power(scratch, seed, max(1, options.blocks // BLOCKS_PER_TURN), options.points)
    return await lose_power(scratch, seed, options.blocks, options.points)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/power",
        description="Record what a member writes, lose the power at every sync and between, reopen, check.",
        epilog="example: scripts/power --seed 1 --seeds 100 --minutes 5",
    )
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--seeds", type=count, default=10, help="how many seeds, counting up (default 10)")
    parser.add_argument("--minutes", type=float, default=5.0, help="stop after so long (default 5)")
    parser.add_argument("--blocks", type=count, default=60, help="blocks of each life (default 60)")
    parser.add_argument("--engine", action="store_true", help="a whole engine among others, not store and log alone")
    parser.add_argument(
        "--points", type=count_or_none, default=100, help="crashes between syncs of each life (default 100)"
    )
    return parser


def _summary(found: list[Crashes], failed: list[int]) -> None:
    beyond: Counter[int] = sum((crashes.beyond for crashes in found), Counter())
    print(
        f"{len(found)} lives passed, {len(failed)} failed: {sum(c.points for c in found)} crashes, "
        f"{sum(c.blocks for c in found)} blocks, {sum(c.syncs for c in found)} syncs, "
        f"{sum(c.events for c in found)} recorded events"
    )
    more = ", ".join(f"{count} x {beyond[count]}" for count in sorted(beyond))
    print(f"blocks found beyond the last acknowledged one: {more or 'none'}")
    if failed:
        print("failed seeds: " + " ".join(map(str, failed)))
