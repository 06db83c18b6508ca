"""What the transport tells about itself: refused connections, cut links, bytes."""

import enum
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.transport.errors import NoCommonVersion, PeerBroke, PeerTooSlow
from node.edge.transport.limits import REFUSALS_LOGGED_AT_ONCE, REFUSALS_LOGGED_PER_S
from node.edge.transport.pace import Pace
from node.edge.transport.readings import PeerReadings

log = structlog.get_logger("node.edge.transport")


class Purpose(enum.Enum):
    """What a connection is for; the value is the method's name."""

    CONTROL = "Control"
    BULK = "Bulk"


class RefusalKind(enum.Enum):
    """Why somebody was refused or cut off."""

    HANDSHAKE = "handshake"
    """gRPC's core took the connection and no call came of it: no certificate, a stranger's, or no TLS at all. The
    core prints which, and tells us only that a handshake began."""
    NO_CLAIM = "no-claim"
    """The call does not say who calls."""
    NOT_A_MEMBER = "not-a-member"
    WRONG_CERTIFICATE = "wrong-certificate"
    """A member's certificate, but not that of the organisation that the call claims to be."""
    WRONG_CHAIN = "wrong-chain"
    WRONG_VERSION = "wrong-version"
    BROKE_PROTOCOL = "broke-protocol"
    """An authenticated peer sent what the protocol does not allow."""
    CUT_OFF = "cut-off"
    """A member that was cut off for a while for what it sent."""
    TOO_SLOW = "too-slow"
    """An authenticated peer reads more slowly than we must send."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, with what is known of who it was."""

    kind: RefusalKind
    claimed: OrgId | None
    """Who it says it is."""
    holder: OrgId | None
    """Whose certificate it showed, as the ledger says."""
    reason: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of frames exchanged with one peer since the start, without what HTTP/2 and TLS add."""

    control_sent: int = 0
    control_received: int = 0
    bulk_sent: int = 0
    bulk_received: int = 0


OnRefused = Callable[[Refusal], None]


class Report:
    """Counts and logs."""

    def __init__(self, own: OrgId, on_refused: OnRefused | None) -> None:
        """`on_refused` hears of each refusal after it is counted."""
        self.refused: Counter[RefusalKind] = Counter()
        self._log = log.bind(org=own)
        self._on_refused = on_refused
        self._logged = {
            kind: Pace(REFUSALS_LOGGED_PER_S, REFUSALS_LOGGED_AT_ONCE, time.monotonic) for kind in RefusalKind
        }
        self._left_out: Counter[RefusalKind] = Counter()
        self._bytes: Counter[tuple[OrgId, Purpose, bool]] = Counter()
        self._peers: dict[OrgId, PeerReadings] = {}

    def refuse(self, refusal: Refusal) -> None:
        """Count the refusal and log it by name."""
        self.refused[refusal.kind] += 1
        if refusal.holder is not None:
            # Only who is proven: names that strangers claim have no end.
            self.of(refusal.holder).refused[refusal.kind.value] += 1
        self._log_refusal(refusal)
        if self._on_refused is not None:
            self._on_refused(refusal)

    def _log_refusal(self, refusal: Refusal) -> None:
        if not self._logged[refusal.kind].allows():
            self._left_out[refusal.kind] += 1
            return
        self._log.warning(
            "refused",
            kind=refusal.kind.value,
            claimed=refusal.claimed,
            holder=refusal.holder,
            reason=refusal.reason,
            left_out=self._left_out.pop(refusal.kind, 0),
        )

    def link(self, peer: OrgId, purpose: Purpose, up: bool) -> None:
        """Log that a link came up or went down."""
        if purpose is Purpose.CONTROL:
            readings = self.of(peer)
            readings.changed_s = time.monotonic()
            readings.failure = None if up else readings.failure
        self._log.info("link up" if up else "link down", peer=peer, purpose=purpose.value.lower())

    def ended(self, peer: OrgId, purpose: Purpose, reason: LinkError) -> None:
        """Log why a stream ended or could not be had; what is the peer's fault is counted as a refusal."""
        if isinstance(reason, PeerBroke):
            self.refuse(Refusal(RefusalKind.BROKE_PROTOCOL, peer, peer, str(reason)))
        elif isinstance(reason, NoCommonVersion):
            self.refuse(Refusal(RefusalKind.WRONG_VERSION, peer, peer, str(reason)))
        elif isinstance(reason, PeerTooSlow):
            self.refuse(Refusal(RefusalKind.TOO_SLOW, peer, peer, str(reason)))
        else:
            self._log.debug("stream ended", peer=peer, purpose=purpose.value.lower(), reason=str(reason))
        if purpose is Purpose.CONTROL:
            self.of(peer).failure = str(reason)

    def failed(self, what: str, error: BaseException) -> None:
        """Log a failure of our own code with its trace."""
        self._log.error(what, exc_info=error)

    def moved(self, peer: OrgId, purpose: Purpose, sent: bool, count: int) -> None:
        """Count `count` bytes."""
        self._bytes[peer, purpose, sent] += count
        if not sent:
            self.of(peer).heard_s = time.monotonic()

    def clock(self, peer: OrgId, sent_ms: int) -> None:
        """A frame says what the peer's clock was when it was sent; 0 says nothing."""
        if sent_ms:
            self.of(peer).clock.heard(sent_ms, wall_ms=wall_ms(), mono_s=time.monotonic())

    def of(self, peer: OrgId) -> PeerReadings:
        """What is remembered of a member."""
        readings = self._peers.get(peer)
        if readings is None:
            readings = self._peers[peer] = PeerReadings()
        return readings

    def traffic(self, peer: OrgId) -> Traffic:
        """The bytes exchanged with the peer."""
        return Traffic(
            control_sent=self._bytes[peer, Purpose.CONTROL, True],
            control_received=self._bytes[peer, Purpose.CONTROL, False],
            bulk_sent=self._bytes[peer, Purpose.BULK, True],
            bulk_received=self._bytes[peer, Purpose.BULK, False],
        )


def wall_ms() -> int:
    """The machine's clock, which frames carry."""
    return time.time_ns() // 1_000_000
