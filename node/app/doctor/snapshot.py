"""What the doctor looks at, as it was at one moment. Nothing is judged here."""

from dataclasses import dataclass, field

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class FolderReading:
    """The member's files."""

    missing: tuple[str, ...] = ()
    """Names relative to the folder, of files that there must be."""
    exposed: tuple[str, ...] = ()
    """Secret files that other users of the machine may read."""
    damaged: tuple[str, ...] = ()
    """A sentence each."""
    vote_log: bool = True
    """Whether there is one."""


@dataclass(frozen=True, slots=True)
class DiskReading:
    """The disk under the folder."""

    free_bytes: int
    write_ms: float | None
    """Writing 4 KiB and syncing it, the median of a few; None where the disk refused."""
    failure: str | None
    database_bytes: int
    blocks: int
    """In the database."""
    blocks_per_day: float
    """By the times of the last blocks; 0 where there are too few."""


@dataclass(frozen=True, slots=True)
class LedgerReading:
    """What this member's own ledger says of it, read from the database."""

    height: int
    head_time_ms: int
    heartbeat_ms: int
    time_tolerance_ms: int
    standing: str | None
    """candidate, member, suspended, removed; None for a stranger to the network."""
    votes: bool
    """Whether this member is in the set that agrees on the next block."""
    card_sequence: int | None
    """The newest card on the ledger."""
    node_key: str | None
    """In force, hexadecimal."""
    certificates: tuple[str, ...]
    """SHA-256 of the TLS certificates that links accept now, newest first."""
    tls_until_ms: dict[str, int]
    """Of every organisation that may connect, its TLS term."""
    queue: tuple[str, ...]
    """Accepted changes of the member set that are not in force yet, in words."""
    motions: int
    """Open ones."""
    revoked: tuple[str, ...] = ()
    """Which keys of the newest card a quorum revoked: organisation, node, tls, data."""
    cel_coming: tuple[tuple[int, str], ...] = ()
    """Adopted versions of CEL that hold from a height to come and are not installed here."""


@dataclass(frozen=True, slots=True)
class CardReading:
    """The card in the folder."""

    sequence: int
    node_key: str
    certificate: str
    """SHA-256."""
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PortReading:
    """One address, tried from here."""

    address: str
    open: bool
    says: str


@dataclass(frozen=True, slots=True)
class PeerReading:
    """One peer, as the running daemon sees it."""

    org: str
    connected: bool
    height: int | None
    dialled: bool | None = None
    since_s: float | None = None
    heard_s: float | None = None
    clock_ahead_ms: int | None = None
    version: int | None = None
    software: str | None = None
    failure: str | None = None
    refused: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    dropped: int = 0
    cuts: int = 0
    last_reason: str = ""


@dataclass(frozen=True, slots=True)
class AgreementReading:
    """The height that is being agreed on, as the running daemon sees it."""

    height: int
    round: int
    proposer: str
    quorum: int
    members: tuple[str, ...]
    wanted: bool
    """Whether there is a reason for a block."""
    proposed: bool
    executed: bool
    prepared: tuple[str, ...]
    committed: tuple[str, ...]
    rounds: dict[str, int]
    """The highest round in which each member was heard at this height."""


@dataclass(frozen=True, slots=True)
class DaemonReading:
    """What the running daemon says."""

    height: int
    pending: int
    agreement: AgreementReading | None
    peers: tuple[PeerReading, ...]
    refused: dict[str, int]
    listening: int
    held: dict[str, tuple[str, ...]]
    """Public halves of the keys that it holds, newest first: node, data; of tls the certificates' SHA-256."""
    version: str
    memory_mb: float
    silent_until: int | None = None
    silent_because: str | None = None
    halt_at: int | None = None
    halted: bool = False
    unfit_because: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment."""

    now_ms: int
    org: str
    listen: str
    folder: FolderReading
    card: CardReading | None
    disk: DiskReading
    ledger: LedgerReading | None
    """None before the first start, or where it cannot be read (then `folder.damaged` says so)."""
    daemon: DaemonReading | None
    daemon_failure: str | None
    """Why it does not answer, when it is running; None when it is not running, or answers."""
    own_ports: tuple[PortReading, ...]
    """Where the card says that others dial."""
    listen_port: PortReading
    """`listen`: open when something answers there."""
