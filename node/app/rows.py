"""The rows that a member trains on: a plain file of its folder, or a version of its vault, own or received.

What lies sealed in the vault is never on a disk in the clear. For the learner's process it is opened into memory that
has no name in any file system; the process reaches it through a link, which ends with the job or with the right to
train on it.
"""

import asyncio
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.app.commitments import Committed, kept
from node.app.settings import Folder
from node.base.ports import Clock, LearnerError, StateReader
from node.base.types import Digest, OrgId
from node.edge.storage import PRIVATE_MODE, make_private_folder, write_atomically
from node.edge.vault import Vault, VaultError, Version
from node.ledger.contracts.training import JobView, why_not_used
from node.ledger.system import head

OPEN_BYTES_MAX = 2 << 30
"""What one job's rows may take in memory."""
TABLES = frozenset({"csv", "parquet"})
"""Kinds of data sets that the learner reads."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A version of the vault that the operator chose for a job."""

    data: str
    """`owner/name`."""
    number: int
    """As the vault counts."""


@dataclass(frozen=True, slots=True)
class _Open:
    descriptor: int
    link: Path


class ApprovedRows:
    """Implements the port `Rows` of training."""

    def __init__(
        self, org: OrgId, folder: Folder, state: StateReader, clock: Clock, vault: Callable[[], Vault]
    ) -> None:
        """`vault()` is the member's, with the data keys of now."""
        self._org = org
        self._folder = folder
        self._state = state
        self._clock = clock
        self._vault = vault
        self._open: dict[Digest, _Open] = {}
        self._lock = threading.Lock()

    def why_not(self, job: JobView) -> str | None:
        """See `Rows`. Expiry does not wait for a block."""
        now_ms = max(head(self._state).time_ms, self._clock.now().wall_ms)
        used = next((approval.used for approval in job.approvals if approval.org == self._org), ())
        return why_not_used(self._state, used, self._org, time_ms=now_ms)

    async def path(self, job: Digest) -> Path:
        """See `Rows`."""
        return await asyncio.to_thread(self._path, job)

    async def release(self, job: Digest) -> None:
        """See `Rows`."""
        await asyncio.to_thread(self._release, job)

    async def close(self) -> None:
        """Release all."""
        for job in tuple(self._open):
            await self.release(job)

    async def choose(self, job: Digest, chosen: Chosen) -> Path:
        """Take this version for the job from now on; where the learner reads it. Raises `LearnerError`, `OSError`."""
        await self.release(job)
        return await asyncio.to_thread(self._opened, job, chosen)

    async def keep(self, job: Digest, chosen: Chosen) -> None:
        """Note the choice for later starts of the daemon. Raises `OSError`."""
        content = json.dumps({"data": chosen.data, "number": chosen.number}).encode()
        place = self._folder.approvals
        await asyncio.to_thread(make_private_folder, place)
        await asyncio.to_thread(write_atomically, place / f"{job.hex()}.json", content, mode=PRIVATE_MODE)

    def _path(self, job: Digest) -> Path:
        found = chosen_for(self._folder.approvals, job)
        match found:
            case None:
                raise LearnerError("no data are chosen for this job: approve it with some")
            case Committed():
                return self._folder.root / found.path
            case Chosen():
                return self._opened(job, found)

    def _opened(self, job: Digest, chosen: Chosen) -> Path:
        with self._lock:
            known = self._open.get(job)
            if known is None:
                known = self._open[job] = self._pour(chosen)
            return known.link

    def _pour(self, chosen: Chosen) -> _Open:
        """Open the version into memory. Raises `LearnerError`, `OSError`."""
        try:
            vault = self._vault()
            records, name = vault.records_of(chosen.data)
            version = records.version(name, chosen.number)
            _require_table(version)
            descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
            try:
                with vault.open(version) as source, os.fdopen(os.dup(descriptor), "wb") as rows:
                    shutil.copyfileobj(source, rows, 1 << 20)
                place = Path(tempfile.mkdtemp(prefix="lepton-rows-"))
                link = place / f"{name}.{version.kind}"
                # Whoever may read the daemon's memory may read this, and nobody else; and it ends with the daemon.
                link.symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
            except BaseException:
                os.close(descriptor)
                raise
        except VaultError as error:
            raise LearnerError(str(error)) from error
        return _Open(descriptor, link)

    def _release(self, job: Digest) -> None:
        with self._lock:
            known = self._open.pop(job, None)
        if known is not None:
            os.close(known.descriptor)
            shutil.rmtree(known.link.parent, ignore_errors=True)


def chosen_for(approvals: Path, job: Digest) -> Committed | Chosen | None:
    """What the operator chose for the job when approving it."""
    try:
        content = json.loads((approvals / f"{job.hex()}.json").read_text())
    except FileNotFoundError:
        return None
    if "number" in content:
        return Chosen(content["data"], content["number"])
    return kept(approvals, job.hex())


def _require_table(version: Version) -> None:
    if version.kind not in TABLES:
        raise LearnerError(f"{version.data} is {version.kind}; models are trained on {' or '.join(sorted(TABLES))}")
    if version.plain_bytes > OPEN_BYTES_MAX:
        raise LearnerError(
            f"{version.data} has {version.plain_bytes} bytes, {OPEN_BYTES_MAX} at most are opened in memory for a job: "
            "add a smaller version"
        )
