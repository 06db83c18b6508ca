"""What the daemon offers to its operator: readings of the ledger, and transactions in the organisation's name."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from node.api import BlockOutcome, OperatorRefusal, Outcome
from node.app.approving import Approvals
from node.app.duties import Duties
from node.app.halt import write_halt
from node.app.jobfile import shown_recipe
from node.app.readings import read
from node.app.renewal import Renewal
from node.app.settings import Folder
from node.app.standing import Standing
from node.app.transfers import Transfers
from node.base.codec import DecodeError, decode, encode
from node.base.ports import Store
from node.base.types import Card, Digest, Height, OrgId, Signature
from node.engine.loop import Engine, SubmissionRefused
from node.engine.replica import EndSilence, HaltAt
from node.engine.submitter import Submitter
from node.engine.training import TrainingEngine
from node.engine.transfer import TransferEngine
from node.ledger.contracts.contract import View, view
from node.ledger.contracts.training import JobState, JobView, job, jobs

APPROVAL_WAIT_S = 60.0
FOLLOW_QUEUE_MAX = 4_096


class Backend:
    """Implements `OperatorBackend`."""

    def __init__(
        self,
        folder: Folder,
        standing: Standing,
        *,
        org: OrgId,
        engine: Engine,
        store: Store,
        submitter: Submitter,
        approvals: Approvals,
        training: TrainingEngine,
        transfers: TransferEngine,
        duties: Duties,
        renewal: Renewal,
    ) -> None:
        self._folder = folder
        self._standing = standing
        self._engine = engine
        self._store = store
        self._submitter = submitter
        self._approvals = approvals
        self._training = training
        self._transfers = transfers
        self._fetching = Transfers(org, store.state, transfers, self.submit)
        self._duties = duties
        self._renewal = renewal
        self._followers: set[asyncio.Queue[Height]] = set()

    def committed(self, height: Height) -> None:
        """A block is on disk: tell those who follow. One that does not keep up is let go."""
        for queue in list(self._followers):
            try:
                queue.put_nowait(height)
            except asyncio.QueueFull:
                self._followers.discard(queue)

    def status(self) -> dict[str, Any]:
        """What `lepton status --json` prints."""
        return self._standing.read()

    def jobs(self, job_id: bytes | None) -> list[dict[str, Any]]:
        """All training jobs, or the one with this id. Raises `OperatorRefusal` for an unknown id."""
        training = view(self._store.state, "training")
        if job_id is None:
            return [self._job_json(found) for found in sorted(jobs(training), key=lambda found: found.proposed)]
        return [self._job_json(self._job(training, job_id))]

    def read(self, topic: str, arguments: dict[str, Any]) -> Any:
        """What the ledger says of a topic. Raises `OperatorRefusal` for one that is unknown, or bad arguments."""
        return read(topic, self._store.state, arguments)

    async def submit(self, contract: str, method: str, payload: bytes, wait_s: float | None) -> Outcome:
        """Sign and gossip; with `wait_s`, wait for the block. Raises `OperatorRefusal`."""
        try:
            id_ = await self._submitter.submit(contract, method, payload)
        except SubmissionRefused as refused:
            raise OperatorRefusal(f"{refused} ({refused.code})") from refused
        if wait_s is not None:
            try:
                async with asyncio.timeout(wait_s):
                    record = await self._engine.final(id_)
            except TimeoutError:
                pass
            else:
                receipt = record.receipt
                return Outcome(id_, True, record.height, receipt.accepted, receipt.code, receipt.reason)
        return Outcome(id_, False, 0, False, "", "")

    async def submit_many(self, calls: Sequence[tuple[str, str, bytes]]) -> list[Outcome]:
        """Sign and gossip; does not wait for a block. Raises `OperatorRefusal` where nothing can be signed."""
        try:
            found = await self._submitter.submit_many(calls)
        except SubmissionRefused as refused:
            raise OperatorRefusal(f"{refused} ({refused.code})") from refused
        return [
            Outcome(b"", False, 0, False, one.code, str(one))
            if isinstance(one, SubmissionRefused)
            else Outcome(one, False, 0, False, "", "")
            for one in found
        ]

    def card(self) -> bytes:
        """This organisation's newest card on the ledger, in its byte form; empty before its admission."""
        card = self._renewal.card()
        return b"" if card is None else encode(card)

    async def take_keys(self, passphrase: str) -> list[str]:
        """Open the key files that are new in the member's folder; says which. Raises `OperatorRefusal`."""
        return await self._renewal.take_keys(passphrase)

    async def present(self, card: bytes, endorsement: bytes) -> Outcome:
        """Bring a newer card to the ledger, and wait until its node key is in force. Raises `OperatorRefusal`."""
        try:
            decoded = decode(Card, card)
        except DecodeError as error:
            raise OperatorRefusal(f"these bytes are no card: {error}") from error
        return await self._renewal.present(decoded, Signature(endorsement) if endorsement else None)

    async def approve(self, job_id: bytes, data: str, data_set: str, basis: bytes) -> Outcome:
        """Check the rows against the job, keep which it may use, approve. Raises `OperatorRefusal`.

        `data` is a file of the member's folder, or else `data_set` a registered one, `owner/name`, used on `basis`.
        """
        found = self._job(view(self._store.state, "training"), job_id)
        if found.state is not JobState.PROPOSED:
            raise OperatorRefusal(f"the job is {found.state.name.lower()}; only a proposed job can be approved")
        if data_set:
            prepared = await self._approvals.with_data_set(found, data_set, basis)
        else:
            prepared = await self._approvals.with_file(found, data)
        outcome = await self.submit("training", "approve", encode(prepared.approve), APPROVAL_WAIT_S)
        return replace(outcome, notes=prepared.notes)

    async def recover(self) -> dict[str, Any]:
        """End the silence after a lost vote log, by the operator's word. Raises `OperatorRefusal`."""
        replica = self._engine.replica
        if refusal := replica.recovery_refusal:
            raise OperatorRefusal(refusal)
        await self._engine.tell(EndSilence())
        silence = replica.silence
        if silence is None or silence.recovered_at is None:
            raise OperatorRefusal("the chain has moved on; look with: lepton status")
        self._duties.look()
        return {"recovered_at": silence.recovered_at, "votes_from": silence.until}

    async def halt(self, height: int | None) -> dict[str, Any]:
        """Halt after the block of this height; None ends the halt. Raises `OperatorRefusal`."""
        replica = self._engine.replica
        wanted = None if height is None else Height(height)
        await self._engine.tell(HaltAt(wanted))
        if replica.halt_at != wanted:
            raise OperatorRefusal(f"height {height} is over, this member is at {replica.height}: name a later one")
        await asyncio.to_thread(write_halt, self._folder.halt, wanted)
        return self.halting()

    def halting(self) -> dict[str, Any]:
        """At which height this member halts, and whether it has."""
        replica = self._engine.replica
        return {"halt_at": replica.halt_at, "halted": replica.is_halted, "height": replica.height}

    async def fetch_data(self, data: str, basis: bytes, version: int) -> dict[str, Any]:
        """Begin or go on fetching a version of another's data set. Raises `OperatorRefusal`."""
        return await self._fetching.fetch(data, basis, version)

    async def arrivals(self) -> list[dict[str, Any]]:
        """Others' data sets: on their way here, stopped, or come."""
        return await self._transfers.arrivals()

    def restore_data(self, name: str, version: int) -> AsyncGenerator[dict[str, Any], None]:
        """Bring an own version back from copies: how far it is, until it is whole. Raises `OperatorRefusal`."""
        return self._fetching.restore(name, version)

    async def follow(self) -> AsyncIterator[BlockOutcome]:
        """The receipts of each block from now on."""
        queue: asyncio.Queue[Height] = asyncio.Queue(FOLLOW_QUEUE_MAX)
        self._followers.add(queue)
        try:
            while queue in self._followers:
                height = await queue.get()
                receipts = self._store.chain.receipts(height)
                assert receipts is not None, "a committed block has receipts"
                accepted = tuple(receipt.transaction for receipt in receipts if receipt.accepted)
                yield BlockOutcome(height, accepted, len(receipts) - len(accepted))
        finally:
            self._followers.discard(queue)

    def _job(self, training: View, job_id: bytes) -> JobView:
        found = job(training, Digest(job_id)) if len(job_id) == 32 else None
        if found is None:
            raise OperatorRefusal(f"there is no job {job_id.hex()}; look with: lepton job list")
        return found

    def _job_json(self, found: JobView) -> dict[str, Any]:
        current = found.current
        return {
            "id": found.id.hex(),
            "name": found.name,
            "state": found.state.name.lower(),
            "reason": found.reason,
            "proposer": found.proposer,
            "rounds": found.terms.rounds,
            "minimum": found.terms.minimum,
            "participants": list(found.terms.participants),
            "approved": [approval.org for approval in found.approvals],
            "weights": dict(zip(found.terms.participants, found.weights, strict=False)),
            "training_round": found.training_round,
            "phase": current.phase.name.lower() if current is not None else None,
            "cohort": list(current.cohort) if current is not None else [],
            "contributors": list(current.candidates) if current is not None else [],
            "absent": list(found.absent),
            "left_out": {left.org: left.why for left in found.left_out},
            "used": {
                approval.org: [
                    {"data": used.data, "version": used.version, "basis": used.basis.hex() if used.basis else None}
                    for used in approval.used
                ]
                for approval in found.approvals
            },
            "model": found.model.hex() if found.model is not None else None,
            "model_path": self._model_path(found),
            "recipe": shown_recipe(found.terms.recipe),
        }

    def _model_path(self, found: JobView) -> str | None:
        path = self._training.model_path(found.id, found.model) if found.model is not None else None
        return None if path is None else str(path)
