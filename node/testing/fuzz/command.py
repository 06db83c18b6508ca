"""The command line of `scripts/fuzz`: all targets or some, for so many inputs or minutes, on so many processes."""

import argparse
import concurrent.futures
import hashlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from node.testing import signals
from node.testing.fuzz.run import BATCH, Failure, Tally, feed_one, run_target
from node.testing.fuzz.targets import TARGETS
from node.testing.options import count
from node.testing.workers import workers

PART = 20 * BATCH
"""Inputs of one piece of work."""
PROGRESS_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 when every input was accepted or refused as declared."""
    options = _parser().parse_args(arguments)
    unknown = set(options.target) - set(TARGETS)
    if unknown:
        print(f"no target {', '.join(sorted(unknown))}; there are: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if options.input is not None:
        return _replay(options.target, Path(options.input))
    names = options.target or list(TARGETS)
    began = time.monotonic()
    tallies = {name: Tally(name) for name in names}
    parts = _parts(names, options.inputs, options.seed)
    try:
        with signals.raised():
            for part in _worked(parts, options.jobs, began + options.minutes * 60 if options.minutes else None):
                _add(tallies[part.target], part)
                for failure in part.failures:
                    _keep(failure, Path(options.failures))
    except KeyboardInterrupt:
        _summary(tallies, time.monotonic() - began)
        return signals.interrupted("fuzz")
    return _summary(tallies, time.monotonic() - began)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Give every reader of foreign bytes valid, spoilt and senseless inputs, from a seed.",
        epilog="example: scripts/fuzz --inputs 10000000 --jobs 2",
    )
    parser.add_argument("--seed", type=int, default=1, help="what all inputs follow from (default 1)")
    parser.add_argument("--inputs", type=count, default=1_000_000, help="inputs over all targets (default a million)")
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so long (default: no end but --inputs)")
    parser.add_argument("--target", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--jobs", type=count, default=1, help="processes (default 1)")
    parser.add_argument("--failures", default="fuzz-failures", help="folder for inputs that fail")
    parser.add_argument("--input", help="replay the input in this file; needs one --target")
    return parser


_Part = tuple[str, int, int, int]
"""Target, seed, first input, inputs."""


def _parts(names: list[str], inputs: int, seed: int) -> Iterator[_Part]:
    """The inputs shared out by weight, the targets in turn, so that a run cut short has had something of each."""
    whole = sum(TARGETS[name].weight for name in names)
    left = {name: max(BATCH, inputs * TARGETS[name].weight // whole) for name in names}
    first = dict.fromkeys(names, 0)
    while any(left.values()):
        for name in names:
            count = min(PART, left[name])
            if count:
                yield name, seed, first[name], count
                first[name] += count
                left[name] -= count


def _worked(parts: Iterator[_Part], jobs: int, until: float | None) -> Iterator[Tally]:
    """The parts' tallies as they come, on processes of their own."""
    told = time.monotonic()
    done = 0
    with workers(jobs) as pool:
        running: set[concurrent.futures.Future[Tally]] = set()
        more = True
        while running or more:
            while more and len(running) < 2 * jobs:
                part = next(parts, None)
                more = part is not None and (until is None or time.monotonic() < until)
                if part is not None and more:
                    running.add(pool.submit(_work, *part))
            ended, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in ended:
                done += future.result().inputs
                yield future.result()
            if time.monotonic() - told > PROGRESS_S:
                told = time.monotonic()
                print(f"{done} inputs", file=sys.stderr, flush=True)


def _work(name: str, seed: int, first: int, inputs: int) -> Tally:
    return run_target(TARGETS[name], seed, first, inputs)


def _add(whole: Tally, part: Tally) -> None:
    whole.inputs += part.inputs
    whole.accepted += part.accepted
    whole.seconds += part.seconds
    whole.memory_max = max(whole.memory_max, part.memory_max)
    whole.failures += part.failures


def _keep(failure: Failure, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{failure.target}-{hashlib.sha256(failure.data).hexdigest()[:12]}"
    path.write_bytes(failure.data)
    print(f"{failure.target} FAILED: {failure.error}", file=sys.stderr)
    print(f"  replay it with: scripts/fuzz --target {failure.target} --input {path}", file=sys.stderr, flush=True)


def _replay(names: list[str], path: Path) -> int:
    if len(names) != 1:
        print("--input needs one --target", file=sys.stderr)
        return 2
    try:
        content = path.read_bytes()
    except OSError as error:
        print(f"cannot read {path} ({error.strerror}): --input needs the file of one input", file=sys.stderr)
        return 2
    tally = feed_one(TARGETS[names[0]], content)
    for failure in tally.failures:
        print(f"{failure.target} FAILED: {failure.error}")
    if not tally.failures:
        print("accepted" if tally.accepted else "refused as declared")
    return 1 if tally.failures else 0


def _summary(tallies: dict[str, Tally], seconds: float) -> int:
    for name, tally in tallies.items():
        rate = tally.inputs / tally.seconds if tally.seconds else 0.0
        print(
            f"{name:<36} {tally.inputs:>9} inputs  {tally.accepted:>8} accepted  {rate:>8.0f} a second  "
            f"{tally.memory_max / 1024:>8.0f} KiB at most  {len(tally.failures)} failures"
        )
    inputs = sum(tally.inputs for tally in tallies.values())
    failures = sum(len(tally.failures) for tally in tallies.values())
    print(f"{inputs} inputs in {seconds:.1f} s ({inputs / seconds:.0f} a second), {failures} failures")
    return 1 if failures else 0
