"""Approvals of training jobs: which rows this member takes part with, checked against the job before it says so."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from node.api import OperatorRefusal
from node.app.commitments import SALT_BYTES, commit_file, keep
from node.app.rows import ApprovedRows, Chosen
from node.app.settings import Folder
from node.app.transfers import bases_of
from node.base.ports import Entropy, Learner, LearnerError, StateReader, Statistics
from node.base.types import Digest, OrgId, data_owner
from node.edge.vault import Vault, VaultError, Version
from node.ledger.contracts import sharing
from node.ledger.contracts.agreements import Operation
from node.ledger.contracts.contract import view
from node.ledger.contracts.training import Approve, JobView, Used, why_not_used
from node.ledger.system import head

_TRAINS = (Operation.TRAIN, None)
"""An authorisation names no operation: it is for all."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An approval to hand in."""

    approve: Approve
    notes: tuple[str, ...]
    """What the owner of the rows should hear."""


class Approvals:
    """One member's. Methods raise `OperatorRefusal`."""

    def __init__(
        self,
        org: OrgId,
        folder: Folder,
        state: StateReader,
        learner: Learner,
        rows: ApprovedRows,
        vault: Callable[[], Vault],
        entropy: Entropy,
    ) -> None:
        self._org = org
        self._folder = folder
        self._state = state
        self._learner = learner
        self._rows = rows
        self._vault = vault
        self._entropy = entropy

    async def with_file(self, job: JobView, data: str) -> Prepared:
        """Take part with a file of the member's folder."""
        path = self._inside(data)
        statistics = await self._statistics(job, path, data)
        committed = await asyncio.to_thread(commit_file, path, data, self._entropy.bytes(SALT_BYTES))
        await asyncio.to_thread(keep, self._folder.approvals, job.id.hex(), committed)
        return Prepared(Approve(job.id, committed.commitment, statistics.rows), statistics.notes)

    async def with_data_set(self, job: JobView, data: str, basis: bytes) -> Prepared:
        """Take part with the newest version of a registered data set that lies in this member's vault.

        `basis` may be empty: then one is looked for that lets this member train on another's data.
        """
        registered = {
            found.commitment: found.number for found in sharing.versions(view(self._state, sharing.NAME), data)
        }
        if not registered:
            raise OperatorRefusal(f"the ledger has no data set {data}; look with: lepton data list")
        version = await asyncio.to_thread(self._newest_here, data, registered)
        number = registered[version.root]
        own = data_owner(data) == self._org
        used = Used(data, number, None if own else self._basis(data, version, Digest(basis) if basis else None))
        chosen = Chosen(data, version.number)
        try:
            path = await self._rows.choose(job.id, chosen)
            statistics = await self._statistics(job, path, data)
            await self._rows.keep(job.id, chosen)
        except LearnerError as error:
            raise OperatorRefusal(str(error)) from error
        except BaseException:
            await self._rows.release(job.id)
            raise
        return Prepared(Approve(job.id, version.root, statistics.rows, (used,)), statistics.notes)

    async def _statistics(self, job: JobView, path: Path, shown: str) -> Statistics:
        try:
            return await self._learner.statistics(job.id, job.terms.recipe, path)
        except LearnerError as error:
            raise OperatorRefusal(f"{shown} does not fit the job: {error}") from error

    def _newest_here(self, data: str, registered: Mapping[Digest, int]) -> Version:
        """The vault's record of the newest version that is here and registered; blocking."""
        try:
            records, name = self._vault().records_of(data)
            here = [version for version in records.versions(name) if version.root in registered]
        except VaultError as error:
            raise OperatorRefusal(str(error)) from error
        if not here:
            how = "lepton data add" if data_owner(data) == self._org else f"lepton data fetch {data}"
            raise OperatorRefusal(f"no registered version of {data} lies in this member's vault: {how}")
        return max(here, key=lambda version: registered[version.root])

    def _basis(self, data: str, version: Version, asked: Digest | None) -> Digest:
        """What lets this member train on another's data set."""
        received = () if version.received is None else (version.received.basis,)
        given = (basis.id for basis in bases_of(self._state, self._org, data) if basis.operation in _TRAINS)
        candidates: list[Digest] = [asked] if asked is not None else [*received, *given]
        reasons = [self._why_not(Used(data, 1, basis)) for basis in candidates]
        for basis, why in zip(candidates, reasons, strict=True):
            if why is None:
                return basis
        why = reasons[0] if reasons else "nothing lets this member use it"
        raise OperatorRefusal(f"{why} Ask its owner: lepton data request {data} --operation train --purpose ...")

    def _why_not(self, used: Used) -> str | None:
        return why_not_used(self._state, (used,), self._org, time_ms=head(self._state).time_ms)

    def _inside(self, data: str) -> Path:
        root = self._folder.root.resolve()
        path = (root / data).resolve()
        if not path.is_relative_to(root):
            raise OperatorRefusal(f"{data} is outside the member's folder; the daemon opens nothing else. Copy it in")
        if not path.is_file():
            raise OperatorRefusal(f"there is no file {data} in the member's folder")
        return path
