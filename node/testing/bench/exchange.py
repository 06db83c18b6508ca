"""One member of the averaging measurement: a training engine on the real transport, and the bare butterfly.

Run as `python -m node.testing.bench.exchange ORG VALUES ROUNDS FOLDER` by `Crew`. The ledger is the real contract on
a state in memory; the conductor sends every transaction to all members in one order, so all states are the same.
"""

import asyncio
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from node.base.codec import decode
from node.base.ports import Trained
from node.base.types import Digest, Heard, OrgId, PeerMessage, PublicKey
from node.edge.storage import FileSealer, make_private_folder
from node.edge.storage.identity import make_tls_secret
from node.edge.telemetry import SystemClock, SystemEntropy
from node.edge.transport import GrpcTransport, TlsKey
from node.engine.training import TrainingEngine
from node.ledger.contracts.contract import Rejected
from node.ledger.contracts.training import TRAINING, Approve, JobState, JobTerms, Phase, job, training_round
from node.testing.bench.bare import BareButterfly
from node.testing.bench.crew import Message, Worker
from node.testing.bench.wire import identity
from node.testing.contract_bench import ContractBench
from node.testing.training import FakeLearner, FileRows

MODULE = "node.testing.bench.exchange"
ROWS = 100
DEADLINE_MS = 60_000
"""Nobody is late here, however busy the machine is."""
HELD_POLL_S = 0.005


class Acquaintances:
    """The port `Members`: what each member said of itself to the conductor."""

    def __init__(self, org: OrgId, certificate: bytes) -> None:
        self.accepted = {org: certificate}
        self.where: dict[OrgId, tuple[str, ...]] = {}
        self.data_keys: dict[OrgId, PublicKey] = {}

    def certificates(self, org: OrgId) -> tuple[bytes, ...]:
        """See `Members`."""
        return (self.accepted[org],) if org in self.accepted else ()

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        """See `Members`."""
        return self.where.get(org, ())

    def orgs(self) -> tuple[OrgId, ...]:
        """See `Members`."""
        return tuple(sorted(self.accepted))

    def data_key(self, org: OrgId) -> PublicKey | None:
        """See `Members`."""
        return self.data_keys.get(org)


class GatedLearner(FakeLearner):
    """Adds the same vector in each training round, and answers when the conductor says so."""

    def __init__(self, org: OrgId, length: int, say: Callable[[Message], None]) -> None:
        super().__init__(org, length)
        self.added = super().update(0)
        self.go: dict[int, asyncio.Event] = {}
        self._say = say

    def may_answer(self, training_round: int) -> asyncio.Event:
        """Set when the conductor lets this training round's trainings answer."""
        return self.go.setdefault(training_round, asyncio.Event())

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
        new = (np.frombuffer(base, dtype="<f4") + self.added).astype("<f4", copy=False).tobytes()
        self._say({"trained": training_round})
        await self.may_answer(training_round).wait()
        return Trained(new, 0.5)


class Member:
    """One member from its start until the conductor is gone."""

    def __init__(self, worker: Worker, org: OrgId, values: int, rounds: int, folder: Path) -> None:
        self._worker = worker
        self._org = org
        self._rounds = rounds
        self._tls = make_tls_secret(org)
        self._members = Acquaintances(org, self._tls.certificate)
        self._links = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: set[tuple[str, int]] = set()
        self._learner = GatedLearner(org, values, worker.say)
        self._transport = GrpcTransport(
            org=org,
            chain=Digest(bytes(32)),
            tls=[TlsKey(self._tls.key_pem, self._tls.certificate)],
            members=self._members,
            on_message=self._on_message,
            on_link=lambda peer, up: self._links.set(),
            bulk_server=lambda peer, request: self._engine.serve(peer, request),
            listen="127.0.0.1:0",
        )
        self._folder = folder

    async def run(self) -> None:
        """Until the conductor is gone."""
        async with contextlib.AsyncExitStack() as opened:
            await self._transport.start()
            opened.push_async_callback(self._transport.close)
            await self._introduce()
            self._bench = ContractBench(TRAINING, self._members.orgs())
            self._engine = self._make_engine()
            bare = BareButterfly(identity(self._org, self._tls), self._members.orgs(), self._learner.added)
            opened.push_async_callback(bare.close)
            certificates = {str(org): bytes_ for org, bytes_ in self._members.accepted.items()}
            self._worker.say({"linked": await bare.start(certificates)})
            bare.connect(certificates, (await self._expect("ports"))["ports"])
            while (message := await self._worker.hear()) is not None:
                await self._take(message, bare)
            await self._end_tasks()

    async def _introduce(self) -> None:
        self._data_key = X25519PrivateKey.generate()
        hello = {
            "org": self._org,
            "certificate": self._tls.certificate.hex(),
            "data_key": self._data_key.public_key().public_bytes_raw().hex(),
            "port": self._transport.bound_port,
        }
        self._worker.say({"hello": hello})
        for member in (await self._expect("members"))["members"]:
            org = OrgId(member["org"])
            self._members.accepted[org] = bytes.fromhex(member["certificate"])
            self._members.data_keys[org] = PublicKey(bytes.fromhex(member["data_key"]))
            self._members.where[org] = (f"127.0.0.1:{member['port']}",)
        self._transport.recheck()
        while len(self._transport.connected()) < len(self._members.orgs()) - 1:
            self._links.clear()
            await self._links.wait()

    def _make_engine(self) -> TrainingEngine:
        for place in ("models", "inputs"):
            make_private_folder(self._folder / place)
        return TrainingEngine(
            org=self._org,
            state=self._bench.state,
            transport=self._transport,
            learner=self._learner,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            sealer=FileSealer(self._data_key.private_bytes_raw()),
            submit=self._submit,
            rows=FileRows(self._folder / "data.csv"),
            data_key_of=self._members.data_key,
            data_private_keys=lambda: (self._data_key.private_bytes_raw(),),
            models=self._folder / "models",
            inputs=self._folder / "inputs",
            log=lambda text: print(text, file=sys.stderr, flush=True),
        )

    async def _expect(self, word: str) -> Message:
        message = await self._worker.hear()
        if message is None or word not in message:
            raise ConnectionError(f"the conductor went away before {word!r}")
        return message

    async def _take(self, message: Message, bare: BareButterfly) -> None:
        match message:
            case {"offer": int()}:
                bare.offer()
                self._worker.say({"offered": True})
            case {"bare": int()}:
                await bare.average()
                self._worker.say({"bare": time.monotonic()})
            case {"train": True}:
                self._begin()
            case {"go": int(number)}:
                self._learner.may_answer(number).set()
            case {"call": [str(org), str(method), str(payload)]}:
                self._run_call(org, method, bytes.fromhex(payload))
            case _:
                raise ValueError(f"the conductor said {message}")

    def _begin(self) -> None:
        """The job is proposed and approved by all, on every member's own copy of the state alike."""
        terms = JobTerms("bench", (), self._rounds, 1, b"{}", progress_deadline_ms=DEADLINE_MS)
        self._job, _ = self._bench.call(self._members.orgs()[0], "propose", terms)
        for org in self._members.orgs():
            self._bench.call(org, "approve", Approve(self._job, Digest(bytes(32)), ROWS))
        self._spawn(self._engine.run())

    def _run_call(self, org: str, method: str, payload: bytes) -> None:
        try:
            self._bench.call(org, method, decode(TRAINING.methods[method].payload, payload))
        except Rejected:
            # Said a moment after others had settled it; the real ledger refuses it in the same way.
            return
        self._tell_moments()
        self._engine.on_block()

    def _tell_moments(self) -> None:
        found = job(self._bench.view, self._job)
        assert found is not None, "it was proposed"
        if found.state is JobState.FAILED:
            self._worker.say({"trouble": found.reason})
        for number in range(1, found.training_round + 1):
            record = training_round(self._bench.view, self._job, number)
            if record is None:
                continue
            if record.phase is not Phase.COMMITTING and self._first("committed", number):
                self._worker.say({"committed": number, "at": time.monotonic()})
            if record.model is not None and record.phase is Phase.CLOSED and self._first("held", number):
                self._spawn(self._tell_when_held(number, record.model))

    def _first(self, what: str, number: int) -> bool:
        new = (what, number) not in self._seen
        self._seen.add((what, number))
        return new

    async def _tell_when_held(self, number: int, model: Digest) -> None:
        while await asyncio.to_thread(self._engine.model_path, self._job, model) is None:  # noqa: ASYNC110 files give no event
            await asyncio.sleep(HELD_POLL_S)
        self._worker.say({"held": number, "at": time.monotonic()})

    async def _submit(self, contract: str, method: str, payload: bytes) -> None:
        self._worker.say({"submit": [method, payload.hex()]})

    def _on_message(self, peer: OrgId, message: bytes) -> None:
        heard = decode(cast("type[PeerMessage]", PeerMessage), message)
        if isinstance(heard, Heard):
            self._engine.on_heard(peer, heard)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            traceback.print_exception(error)
            self._worker.say({"trouble": repr(error)})

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(org: str, values: int, rounds: int, folder: Path) -> None:
    worker = await Worker.open()
    await Member(worker, OrgId(org), values, rounds, folder).run()


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
