"""This member's files of running jobs: its own updates (sealed, before it commits to them) and the models.

A file of an update is there so that a restarted member still serves the leaves that it committed to. Inputs of
others are never written: they can be had again until the training round closes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from node.base.codec import DecodeError, decode, encode
from node.base.ports import Sealer
from node.base.types import Digest
from node.core.averaging import RuleError, Statement, pack24, unpack24
from node.core.averaging.integers import Int32s
from node.edge.storage.errors import FileError
from node.edge.storage.files import PRIVATE_MODE, PUBLIC_MODE, make_private_folder, write_atomically

MODELS_KEPT = 4
"""Models of the last training rounds that members which missed them can still get."""


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """One's own update as it lies on disk."""

    training_round: int
    base: Digest
    exponent: int
    peak_exponent: int
    clipped: int
    seed: bytes
    packed: bytes

    @property
    def values(self) -> Int32s:
        """Whole leaves."""
        return unpack24(self.packed)


def pack_update(values: Int32s) -> bytes:
    """The form of `OwnUpdate.packed`."""
    return pack24(values)


class Shelf:
    """Reads and writes the files. Every method works on the disk: call it from a worker thread."""

    def __init__(self, models: Path, inputs: Path, sealer: Sealer, log: Callable[[str], None]) -> None:
        self._models = models
        self._inputs = inputs
        self._sealer = sealer
        self._log = log
        self._digests: dict[Path, tuple[int, int, Digest]] = {}
        make_private_folder(models)
        make_private_folder(inputs)

    def write_statement(self, job: Digest, statement: Statement) -> None:
        """Keep what is to be committed to in training round 0. Raises `OSError`."""
        self._write_sealed(_input_name(job, 0), encode(statement))

    def statement(self, job: Digest) -> Statement | None:
        """What was kept, if it can be read."""
        content = self._read_sealed(_input_name(job, 0))
        return None if content is None else decode(Statement, content)

    def write_update(self, job: Digest, update: OwnUpdate) -> None:
        """Keep what is to be committed to. Raises `OSError`."""
        self._write_sealed(_input_name(job, update.training_round), encode(update))

    def update(self, job: Digest, training_round: int) -> OwnUpdate | None:
        """What was kept, if it can be read."""
        content = self._read_sealed(_input_name(job, training_round))
        if content is None:
            return None
        try:
            return decode(OwnUpdate, content)
        except (DecodeError, RuleError) as error:
            self._log(f"the kept update of training round {training_round} is not used: {error}")
            return None

    def write_model(self, job: Digest, training_round: int, file: bytes) -> Digest:
        """Write a model file, synced; returns its SHA-256. Raises `OSError`."""
        path = self.path(job, training_round)
        make_private_folder(path.parent)
        write_atomically(path, file, mode=PUBLIC_MODE)
        digest, status = file_digest(file), path.stat()
        self._digests[path] = (status.st_mtime_ns, status.st_size, digest)
        return digest

    def model(self, job: Digest, training_round: int, digest: Digest) -> bytes | None:
        """The model file of a training round, if it is here and is the one with this SHA-256."""
        try:
            file = self.path(job, training_round).read_bytes()
        except FileNotFoundError:
            return None
        return file if file_digest(file) == digest else None

    def find_model(self, job: Digest, digest: Digest) -> Path | None:
        """The path of the model file with this SHA-256."""
        for path in sorted(self._folder(job).glob("round-*.safetensors"), key=_round_of, reverse=True):
            if self._digest_of(path) == digest:
                return path
        return None

    def _digest_of(self, path: Path) -> Digest | None:
        """Hashed once per version of the file: this is asked for every list of jobs."""
        try:
            status = path.stat()
            known = self._digests.get(path)
            if known is None or known[:2] != (status.st_mtime_ns, status.st_size):
                known = (status.st_mtime_ns, status.st_size, file_digest(path.read_bytes()))
                self._digests[path] = known
        except FileNotFoundError:
            return None
        return known[2]

    def path(self, job: Digest, training_round: int) -> Path:
        """Where a training round's model lies."""
        return self._folder(job) / f"round-{training_round}.safetensors"

    def forget(self, job: Digest, training_round: int) -> None:
        """Drop the updates before this training round, and all models but the last few before it."""
        for path in self._inputs.glob(f"{_short(job)}-*.sealed"):
            if int(path.stem.rpartition("-")[2]) < training_round:
                path.unlink(missing_ok=True)
        for path in self._folder(job).glob("round-*.safetensors"):
            if _round_of(path) < training_round - MODELS_KEPT:
                path.unlink(missing_ok=True)
                self._digests.pop(path, None)

    def _folder(self, job: Digest) -> Path:
        return self._models / _short(job)

    def _write_sealed(self, name: str, content: bytes) -> None:
        write_atomically(self._inputs / name, self._sealer.seal(name, content), mode=PRIVATE_MODE)

    def _read_sealed(self, name: str) -> bytes | None:
        try:
            return self._sealer.open(name, (self._inputs / name).read_bytes())
        except FileNotFoundError:
            return None
        except FileError as error:
            self._log(f"{error}")
            return None


def file_digest(file: bytes) -> Digest:
    """A model's name on the ledger: the plain SHA-256 of its file."""
    return Digest(hashlib.sha256(file).digest())


def _short(job: Digest) -> str:
    return job.hex()[:16]


def _input_name(job: Digest, training_round: int) -> str:
    return f"{_short(job)}-{training_round}.sealed"


def _round_of(path: Path) -> int:
    return int(path.stem.removeprefix("round-"))
