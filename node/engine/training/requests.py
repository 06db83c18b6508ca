"""What members ask each other on the bulk connection while a job trains. Who may ask is the business of `serving`."""

from dataclasses import dataclass

from node.base.codec import encode
from node.base.crypto import digest
from node.base.types import Digest, OrgId


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """The owner's statistics, for the preparation. One chunk: a `Statement`."""

    job: Digest
    owner: OrgId


@dataclass(frozen=True, slots=True)
class LeavesRequest:
    """The owner's leaves [start, stop) of an update, from leaf `have` on. Chunks: `UpdateChunk`."""

    job: Digest
    training_round: int
    owner: OrgId
    start: int
    stop: int
    have: int


@dataclass(frozen=True, slots=True)
class ResultRequest:
    """The sum over the leaves [start, stop), from the range's leaf `have` on. Chunks: `ResultChunk`."""

    job: Digest
    training_round: int
    start: int
    stop: int
    have: int


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The model file of a closed training round, from byte `have` on. Chunks: its bytes."""

    job: Digest
    training_round: int
    model: Digest
    have: int


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """Ask the owner in the sender's name, where the sender cannot reach it. Chunks: sealed to the sender."""

    inner: StatementRequest | LeavesRequest


@dataclass(frozen=True, slots=True)
class RelayedRequest:
    """What the relay asks the owner: `asker` wants it, the sender only carries it."""

    asker: OrgId
    inner: StatementRequest | LeavesRequest


BulkRequest = StatementRequest | LeavesRequest | ResultRequest | ModelRequest | RelayRequest | RelayedRequest
"""Everything that can be asked. The order is the wire's: append only."""


def relay_info(asker: OrgId, inner: StatementRequest | LeavesRequest, chunk: int) -> bytes:
    """What a relayed chunk is sealed to besides the asker's key: this owner, job, range and place in the answer."""
    return digest(
        "lepton/relayed", asker.encode(), encode(inner, StatementRequest | LeavesRequest), chunk.to_bytes(8, "big")
    )
