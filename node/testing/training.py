"""N members that train in one process: real machines and engines over a ledger, a network and a learner in memory.

There is no agreement here: a transaction is a block at once. What is tested is the training round's own exchange,
with members that vanish, links that are blocked, and every byte counted.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from node.base.codec import decode
from node.base.ports import BulkRefused, Learner, LearnerError, LinkError, Prepared, Statistics, Trained
from node.base.types import Digest, Heard, Instant, OrgId, PeerMessage, PublicKey
from node.edge.storage.sealed import FileSealer
from node.engine.training import TrainingEngine
from node.ledger.contracts.contract import Rejected
from node.ledger.contracts.training import (
    TRAINING,
    Approve,
    JobState,
    JobTerms,
    JobView,
    TrainingRound,
    job,
    training_round,
)
from node.testing.contract_bench import ContractBench

WAIT_S = 30.0


class RealClock:
    """The port `Clock`."""

    def now(self) -> Instant:
        """This moment."""
        return Instant(int(time.monotonic() * 1000), int(time.time() * 1000))


class RealEntropy:
    """The port `Entropy`."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return os.urandom(count)


class FakeLearner:
    """The port `Learner` without learning: an update is a fixed vector of the member, halved each training round."""

    def __init__(self, org: str, length: int) -> None:
        self.org = org
        self.length = length
        self.trouble = ""
        self.trainings = 0
        self.closed: list[Digest] = []
        self.began = asyncio.Event()
        """A training has begun."""
        self.gate = asyncio.Event()
        """Training waits for it; set from the start."""
        self.gate.set()

    async def statistics(self, job: Digest, recipe: bytes, data: Path) -> Statistics:
        """See `Learner`."""
        if self.trouble:
            raise LearnerError(self.trouble)
        return Statistics(json.dumps({"org": self.org, "rows": 10}).encode(), 10)

    async def prepare(self, job: Digest, recipe: bytes, blobs: Mapping[OrgId, bytes]) -> Prepared:
        """See `Learner`."""
        if b"impossible" in recipe:
            raise LearnerError("nobody has the column age")
        preparation = json.dumps({org: blobs[org].decode() for org in sorted(blobs)}).encode()
        return Prepared(preparation, self.length, np.zeros(self.length, dtype="<f4").tobytes())

    def update(self, training_round: int) -> NDArray[np.float32]:
        """What this member's training adds to any base."""
        seed = int.from_bytes(self.org.encode(), "big") % 2**32
        values = np.random.default_rng(seed).uniform(-1.0, 1.0, self.length)
        halved: NDArray[np.float32] = (values / 2**training_round).astype(np.float32)
        return halved

    async def train(
        self,
        job: Digest,
        preparation: bytes,
        data: Path,
        training_round: int,
        base: bytes,
        progress: Callable[[str], None],
    ) -> Trained:
        """See `Learner`."""
        self.trainings += 1
        self.began.set()
        if self.trouble:
            raise LearnerError(self.trouble)
        progress("epoch 1 of 1")
        await self.gate.wait()
        new = np.frombuffer(base, dtype="<f4") + self.update(training_round)
        return Trained(new.astype("<f4").tobytes(), 0.5)

    def model_file(self, preparation: bytes, parameters: bytes) -> bytes:
        """See `Learner`."""
        return len(preparation).to_bytes(8, "big") + preparation + parameters

    def open_model(self, file: bytes) -> tuple[bytes, bytes]:
        """See `Learner`."""
        end = 8 + int.from_bytes(file[:8], "big")
        return file[8:end], file[end:]

    async def close(self, job: Digest) -> None:
        """See `Learner`."""
        self.closed.append(job)


class FileRows:
    """One file for every job; implements the port `Rows`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.refusal: str | None = None
        """Why they may not be used; None at the start."""
        self.released: list[Digest] = []

    def why_not(self, job: JobView) -> str | None:
        """See `Rows`."""
        return self.refusal

    async def path(self, job: Digest) -> Path:
        """See `Rows`."""
        return self._file

    async def release(self, job: Digest) -> None:
        """See `Rows`."""
        self.released.append(job)


class _Transport:
    """One member's end of the network; implements the port `Transport`."""

    def __init__(self, world: "TrainingWorld", org: OrgId) -> None:
        self._world = world
        self._org = org

    def send(self, peer: OrgId, message: bytes) -> None:
        """Deliver in the next turn of the loop."""
        heard = decode(cast("type[PeerMessage]", PeerMessage), message)
        member = self._world.members.get(peer)
        if isinstance(heard, Heard) and member is not None and member.alive:
            asyncio.get_running_loop().call_soon(member.engine.on_heard, self._org, heard)

    async def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """Ask; a dead peer and a blocked link fail at once, a swallowing link never answers."""
        world = self._world
        member = world.members.get(peer)
        if member is None or not member.alive or (self._org, peer) in world.blocked:
            raise LinkError(f"{peer} cannot be reached")
        if (self._org, peer) in world.swallowing:
            await asyncio.Event().wait()
        try:
            async for chunk in member.engine.serve(self._org, request):
                if not member.alive:
                    raise LinkError(f"{peer} went away")
                world.sent[peer] += len(chunk)
                world.received[self._org] += len(chunk)
                yield world.tamper(peer, self._org, chunk)
        except BulkRefused as refusal:
            world.refusals.append((self._org, peer, str(refusal)))
            raise LinkError(f"{peer} refused: {refusal}") from refusal

    def connected(self) -> frozenset[OrgId]:
        """Everybody who lives."""
        return frozenset(org for org, member in self._world.members.items() if member.alive and org != self._org)

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """Block both ways, for good: a training round's world has no such clock."""
        self._world.blocked |= {(self._org, peer), (peer, self._org)}


class WorldMember:
    """One member: its engine, learner and folder."""

    def __init__(self, world: "TrainingWorld", org: OrgId, folder: Path, length: int) -> None:
        self._world = world
        self.org = org
        self.folder = folder
        self.learner = FakeLearner(org, length)
        self.rows = FileRows(folder / "data.csv")
        self.key = X25519PrivateKey.generate()
        self.alive = False
        self.behind = False
        self.log: list[str] = []

    def start(self) -> None:
        """Start, or start again on the same folder."""
        learner: Learner = self.learner
        self.engine = TrainingEngine(
            org=self.org,
            state=self._world.bench.state,
            transport=_Transport(self._world, self.org),
            learner=learner,
            clock=RealClock(),
            entropy=RealEntropy(),
            sealer=FileSealer(self.key.private_bytes_raw()),
            submit=self._submit,
            rows=self.rows,
            data_key_of=lambda org: PublicKey(self._world.members[org].key.public_key().public_bytes_raw()),
            data_private_keys=lambda: (self.key.private_bytes_raw(),),
            models=self.folder / "models",
            inputs=self.folder / "inputs",
            log=self.log.append,
            behind=lambda: self.behind,
        )
        self.alive = True
        self.task = asyncio.create_task(self.engine.run())

    async def stop(self) -> None:
        """Vanish without a word."""
        self.alive = False
        self.task.cancel()
        await asyncio.wait([self.task])

    async def _submit(self, contract: str, method: str, payload: bytes) -> None:
        self._world.take(self.org, method, payload)


class TrainingWorld:
    """Members m0, m1, ... and one job; `async with` starts and ends them."""

    def __init__(self, folder: Path, count: int = 4, *, length: int = 5_000, **terms: object) -> None:
        self.orgs = [OrgId(f"m{at}") for at in range(count)]
        self.bench = ContractBench(TRAINING, self.orgs)
        chosen: dict[str, object] = {
            "name": "test",
            "participants": (),
            "rounds": 2,
            "minimum": 1,
            "recipe": b"{}",
            "progress_deadline_ms": 800,
        }
        self.terms = JobTerms(**(chosen | terms))  # type: ignore[arg-type]
        self.members = {org: WorldMember(self, org, folder / org, length) for org in self.orgs}
        self.blocked: set[tuple[OrgId, OrgId]] = set()
        """(asker, asked) whose bulk requests fail."""
        self.swallowing: set[tuple[OrgId, OrgId]] = set()
        """(asker, asked) whose bulk requests are never answered."""
        self.tamper: Callable[[OrgId, OrgId, bytes], bytes] = lambda sender, receiver, chunk: chunk
        self.sent: Counter[OrgId] = Counter()
        self.received: Counter[OrgId] = Counter()
        self.refusals: list[tuple[OrgId, OrgId, str]] = []
        self.rejected: list[tuple[OrgId, str, str]] = []
        self.on_change: Callable[[JobView], None] = lambda job: None
        """Called after every accepted transaction."""
        self._changed = asyncio.Event()

    async def __aenter__(self) -> "TrainingWorld":
        for member in self.members.values():
            member.start()
        self.id, _ = self.bench.call(self.orgs[0], "propose", self.terms)
        return self

    async def __aexit__(self, *_: object) -> None:
        for member in self.members.values():
            await member.stop()

    def approve(self, rows: Mapping[str, int] | None = None) -> None:
        """All participants approve, 100 rows each unless told."""
        for org in self.job.terms.participants:
            self.bench.call(org, "approve", Approve(self.id, Digest(bytes(32)), (rows or {}).get(org, 100)))
        self._tell()

    def take(self, org: OrgId, method: str, payload: bytes) -> None:
        """One transaction, one block."""
        if not self.members[org].alive:
            return
        try:
            self.bench.call(org, method, decode(TRAINING.methods[method].payload, payload))
        except Rejected as rejected:
            self.rejected.append((org, method, rejected.code))
            return
        self.on_change(self.job)
        self._tell()

    def _tell(self) -> None:
        for member in self.members.values():
            if member.alive:
                member.engine.on_block()
        self._changed.set()

    @property
    def job(self) -> JobView:
        """The job as it stands."""
        found = job(self.bench.view, self.id)
        assert found is not None
        return found

    def record(self, number: int) -> TrainingRound:
        """One training round's record."""
        found = training_round(self.bench.view, self.id, number)
        assert found is not None
        return found

    async def until(self, holds: Callable[[JobView], bool]) -> None:
        """Wait until the ledger shows it. Raises `TimeoutError`, and the error of an engine that ended."""
        async with asyncio.timeout(WAIT_S):
            while not holds(self.job):
                for member in self.members.values():
                    if member.alive and member.task.done():
                        member.task.result()
                self._changed.clear()
                await self._changed.wait()

    async def until_done(self) -> None:
        """Wait for the job's end."""
        await self.until(lambda job: job.state not in (JobState.PROPOSED, JobState.PREPARING, JobState.TRAINING))

    async def models(self) -> dict[OrgId, bytes]:
        """The living members' files of the job's model, once all of them hold it."""
        found: dict[OrgId, bytes] = {}
        wanted = self.job.model
        assert wanted is not None
        async with asyncio.timeout(WAIT_S):
            for org, member in self.members.items():
                if not member.alive:
                    continue
                while (path := member.engine.model_path(self.id, wanted)) is None:  # noqa: ASYNC110 files give no event
                    await asyncio.sleep(0.01)
                found[org] = path.read_bytes()
        return found
