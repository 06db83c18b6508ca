"""Feeds one target from a seed: counts, holds time and memory against their bounds, and keeps what fails.

Input number i of a target follows from the seed, the target's name and i alone, so that any part of a run can be made
again by any process.
"""

import os
import random
import signal
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from node.testing.fuzz.mutate import spoil
from node.testing.fuzz.targets import Prepared, Target

BATCH = 1_000
"""Inputs drawn from one source of chance; a run's parts begin at its multiples."""
SAMPLE_EVERY = 2_000
"""Of so many inputs, the memory of one is measured; the first of each part is."""
MEMORY_PER_BYTE_MAX = 400
"""A decoded value is larger than its bytes, but not by more than this."""
HANG_S = 30
"""An input that takes so much of the processor's time hangs."""
_SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Readers of files are fed from memory where there is such a place: no disk need turn for nonsense."""
FAILURES_MAX = 5
"""After so many in one part, the rest of it is left out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that was not refused as it should be."""

    target: str
    data: bytes
    error: str


@dataclass(slots=True)
class Tally:
    """What became of a part's inputs."""

    target: str
    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    memory_max: int = 0
    """Bytes allocated for one sampled input, at the most."""
    failures: list[Failure] = field(default_factory=list)


class Hangs(Exception):
    """An input takes too long."""


def run_target(target: Target, seed: int, first: int, inputs: int) -> Tally:
    """Feed inputs number `first` (a multiple of `BATCH`) and so on."""
    assert first % BATCH == 0, "parts begin where a source of chance begins"
    tally = Tally(target.name)
    with tempfile.TemporaryDirectory(prefix="lepton-fuzz-", dir=_SCRATCH) as folder:
        prepared = target.prepare(Path(folder))
        began = time.process_time()
        for start in range(first, first + inputs, BATCH):
            chance = random.Random(f"{seed} {target.name} {start}")
            with _alarm():
                _feed_batch(target, prepared, chance, min(BATCH, first + inputs - start), tally)
            if len(tally.failures) >= FAILURES_MAX:
                break
        tally.seconds = time.process_time() - began
    return tally


def feed_one(target: Target, data: bytes) -> Tally:
    """One input, with its memory measured."""
    tally = Tally(target.name)
    with tempfile.TemporaryDirectory(prefix="lepton-fuzz-", dir=_SCRATCH) as folder:
        prepared = target.prepare(Path(folder))
        with _alarm():
            _feed(target, prepared, data, tally, measured=True)
    return tally


def _feed_batch(target: Target, prepared: Prepared, chance: random.Random, inputs: int, tally: Tally) -> None:
    corpus = prepared.corpus
    for _ in range(inputs):
        data = spoil(corpus[int(chance.random() * len(corpus))], corpus, chance)
        _feed(target, prepared, data, tally, measured=tally.inputs % SAMPLE_EVERY == 0)
        if len(tally.failures) >= FAILURES_MAX:
            return


def _feed(target: Target, prepared: Prepared, data: bytes, tally: Tally, *, measured: bool) -> None:
    tally.inputs += 1
    if measured:
        tracemalloc.start()
    try:
        tally.accepted += prepared.feed(data)
    except Exception as error:  # What a reader raises besides its own error is the finding itself.
        tally.failures.append(Failure(target.name, data, f"{type(error).__name__}: {error}"[:500]))
    finally:
        if measured:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            tally.memory_max = max(tally.memory_max, peak)
            if peak > target.memory_bytes + MEMORY_PER_BYTE_MAX * len(data):
                tally.failures.append(Failure(target.name, data, f"{peak} bytes for an input of {len(data)}"))


@contextmanager
def _alarm() -> Iterator[None]:
    def hangs(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"more than {HANG_S} s of the processor's time for a batch")

    before = signal.signal(signal.SIGVTALRM, hangs)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
