"""What the edge must offer to those who decide. Production and tests implement the same ports; nothing is patched."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.base.crown import Crown, CrownEntry
from node.base.errors import ExplainedError
from node.base.types import (
    GENESIS_HEIGHT,
    CertifiedBlock,
    CertifiedHeader,
    Digest,
    Height,
    Instant,
    OrgId,
    PublicKey,
    Receipt,
)


class Clock(Protocol):
    """The member's clocks."""

    def now(self) -> Instant:
        """This moment."""
        ...


class Entropy(Protocol):
    """Chance, for salts and nonces."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...


class Signer(Protocol):
    """Signs with one private key."""

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        ...


class Keyring(Protocol):
    """This member's private keys for signing, of every generation that may still be needed."""

    def signer(self, public_key: PublicKey) -> Signer | None:
        """What signs as this public key; None where this member does not hold its private half."""
        ...


Verifier = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds. Ed25519 in production, a keyed hash in most simulations."""


class TreeReader(Protocol):
    """The state's tree after the last committed block; read-only."""

    @property
    def crown(self) -> Crown:
        """Its upper levels; not to be changed."""
        ...

    def page(self, number: int) -> bytes | None:
        """The page of this number, of what is below."""
        ...


class StateReader(TreeReader, Protocol):
    """The state after the last committed block; read-only and synchronous."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending by key."""
        ...


@dataclass(frozen=True, slots=True)
class Writes:
    """What one block changes; None deletes. Keys and pages ascending, each once."""

    state: tuple[tuple[bytes, bytes | None], ...]
    pages: tuple[tuple[int, bytes | None], ...]
    """Of the state's tree, by their numbers."""
    crown: tuple[CrownEntry, ...] = ()
    """From the lowest level up."""


@dataclass(frozen=True, slots=True)
class NewBase:
    """A block and the whole state after it, from which on a member's chain goes on: what a snapshot comes to."""

    certified: CertifiedBlock
    receipts: tuple[Receipt, ...]
    headers: tuple[CertifiedHeader, ...]
    """Of lower heights: kept for trust paths."""
    writes: Callable[[], Iterator[Writes]]
    """The state and its tree as writes to an empty one; may be read on another thread, part after part."""


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """Where a transaction stands in the chain and what became of it."""

    height: Height
    index: int
    receipt: Receipt


class ChainReader(Protocol):
    """The committed chain; read-only and synchronous."""

    def height(self) -> Height:
        """The height of the last committed block; 0 with none."""
        ...

    def base(self) -> Height:
        """The lowest height from which on every block is kept whole; 1 unless the chain was pruned or joined late."""
        ...

    def block(self, height: Height) -> CertifiedBlock | None:
        """The block at `height` with its certificate; None below the base."""
        ...

    def certified_header(self, height: Height) -> CertifiedHeader | None:
        """The header at `height` with its certificate, also of a pruned block."""
        ...

    def receipts(self, height: Height) -> tuple[Receipt, ...] | None:
        """The receipts of the block at `height`, in its order."""
        ...

    def transaction(self, id_: Digest) -> TransactionRecord | None:
        """Where the transaction was included."""
        ...


class Store(Protocol):
    """The member's ledger on disk."""

    @property
    def state(self) -> StateReader:
        """Reads the state."""
        ...

    @property
    def chain(self) -> ChainReader:
        """Reads the chain."""
        ...

    async def commit(
        self, certified: CertifiedBlock, receipts: Sequence[Receipt], writes: Writes, *, durable: bool
    ) -> None:
        """Write block, certificate, receipts and state in one transaction.

        A `durable` one is synced before this returns, with all before it; another may be lost with the power, never
        in part and never before an older one. Raises `OSError` when the disk refuses; then nothing of it is written.
        """
        ...

    async def sync(self) -> None:
        """Make durable all that was committed. Raises `OSError`."""
        ...

    async def replace(self, base: NewBase) -> None:
        """Put this block and state in the place of everything, in one transaction, synced before this returns.

        Raises `OSError` where the disk refuses, and what reading `base.writes` raises; then everything is as before.
        """
        ...


@dataclass(frozen=True, slots=True)
class Silence:
    """Below which height a member signs nothing, because it may have signed there and does not know what."""

    until: Height = GENESIS_HEIGHT
    """The first height at which it signs again."""
    recovered_at: Height | None = None
    """The height of the chain when an operator ended a longer silence, by `lepton recover`."""


class VoteLog(Protocol):
    """What this member signed for heights that are not final yet, so that it never signs twice.

    An entry is the byte form of a `PeerMessage`: `Proposal`, `Vote`, `RoundChange` or `PreparedBlock`.
    """

    @property
    def silence(self) -> Silence | None:
        """The silence that is kept; None when the log is missing: then nothing may be signed before `keep_silent`."""
        ...

    def entries(self) -> list[bytes]:
        """The entries of the highest height in the order they were written; read once at the start."""
        ...

    async def append(self, height: Height, entries: Sequence[bytes]) -> None:
        """Write the entries, all of this height, and sync once. Heights never go down."""
        ...

    async def forget(self, height: Height) -> None:
        """The height is final: what was signed up to it may be dropped."""
        ...

    async def keep_silent(self, silence: Silence) -> None:
        """Write the silence, synced; entries of heights from its end on stay."""
        ...


class Transport(Protocol):
    """Messages between members over authenticated links.

    `send` never blocks and never fails: a message to a peer that is away or too slow is dropped, and the sender
    hears of the peer again by `on_link`. A bulk `fetch` raises `LinkError`.
    """

    def send(self, peer: OrgId, message: bytes) -> None:
        """Queue one control message: the byte form of a `PeerMessage`."""
        ...

    def fetch(self, peer: OrgId, request: bytes) -> AsyncIterator[bytes | memoryview]:
        """Ask on the bulk connection; yields the chunks of the answer. Raises `LinkError`.

        A chunk may be a view into what came: who needs one as `bytes` copies it.
        """
        ...

    def connected(self) -> frozenset[OrgId]:
        """The peers with a live control link."""
        ...

    def cut(self, peer: OrgId, seconds: float, reason: str) -> None:
        """End the links to the peer, and have none for so long: it is neither dialled nor let in."""
        ...


class LinkError(OSError):
    """A peer cannot be reached, went away in mid-answer, or answered with a refusal; the text says which."""


BulkServer = Callable[[OrgId, bytes], AsyncIterator[bytes | memoryview]]
"""(peer, request) -> chunks of the answer, each at most 2 MiB and good until the next one is asked for.

Raises `BulkRefused` for what it will not serve.
"""


class BulkRefused(Exception):
    """The answerer's refusal, in words, sent to the asker as a `LinkError`."""


OnMessage = Callable[[OrgId, bytes], None]
"""(peer, message): a control message arrived from an authenticated peer."""

OnLink = Callable[[OrgId, bool], None]
"""(peer, up): a control link came up or went down."""


class Members(Protocol):
    """The ledger's word on who may connect: read by the transport at every call."""

    def certificates(self, org: OrgId) -> tuple[bytes, ...]:
        """The TLS certificates (DER) under which the organisation may connect now, newest first; none for strangers.

        There are two while an old one overlaps its successor.
        """
        ...

    def addresses(self, org: OrgId) -> tuple[str, ...]:
        """Where to dial it."""
        ...

    def orgs(self) -> tuple[OrgId, ...]:
        """All that may connect: the members in force and the candidates."""
        ...

    def data_key(self, org: OrgId) -> PublicKey | None:
        """What to seal to it."""
        ...


class Sealer(Protocol):
    """Encrypts what lies on this member's own disk; nobody else opens it."""

    def seal(self, name: str, content: bytes) -> bytes:
        """`content` encrypted and bound to `name`."""
        ...

    def open(self, name: str, sealed: bytes) -> bytes:
        """What was sealed under this name. Raises `FileError`."""
        ...


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one member tells the others about its training rows, so that all scale alike."""

    blob: bytes
    """Canonical JSON: counts, sums and centred squares per numeric column, rows per category; small groups withheld."""
    rows: int
    """Training rows of this member."""
    notes: tuple[str, ...] = ()
    """For this member's operator alone: rows of unknown categories, columns without values."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every member derives, byte for byte the same, from the recipe and the members' statistics."""

    preparation: bytes
    """Canonical JSON: columns, categories, means, scales, model and layout of its tensors."""
    length: int
    """float32 values in the flat model."""
    initial: bytes
    """The first model: flat little-endian float32, 4 x `length` bytes."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The outcome of one member's local training in one training round."""

    parameters: bytes
    """Flat little-endian float32, as long as the base it started from."""
    loss: float
    """Mean training loss over the last local epoch, without the penalty on large weights."""


class LearnerError(ExplainedError):
    """The recipe, the data, a member's statistics or the learning process cannot be used; the text says why."""


class Learner(Protocol):
    """Learns on this member's rows in a process of its own; every method raises `LearnerError`."""

    async def statistics(self, job: Digest, recipe: bytes, data: Path) -> Statistics:
        """Check the rows of `data` (CSV or Parquet) against the recipe and sum them up."""
        ...

    async def prepare(self, job: Digest, recipe: bytes, blobs: Mapping[OrgId, bytes]) -> Prepared:
        """Combine the members' statistics; the same blobs give the same bytes on every machine."""
        ...

    async def train(
        self,
        job: Digest,
        preparation: bytes,
        data: Path,
        training_round: int,
        base: bytes,
        progress: Callable[[str], None],
    ) -> Trained:
        """Train from `base` for the recipe's local epochs; `progress` hears a short line per epoch, or more."""
        ...

    def model_file(self, preparation: bytes, parameters: bytes) -> bytes:
        """The safetensors file that carries its preparation; its SHA-256 is the model's digest."""
        ...

    def open_model(self, file: bytes) -> tuple[bytes, bytes]:
        """(preparation, parameters) of a model file; refuses a file of any other form."""
        ...

    async def close(self, job: Digest) -> None:
        """End the job's process and wait for it."""
        ...
