"""How a member that lost its vote log learns from which height on it may sign again (DESIGN, section 3).

What it signed is unknown, but not how far: it signed at height h only on top of a final block h - 1, and whoever helped
to make that block final holds block h - 2. So it asks the others how far they are. Any quorum - 1 of them contain a
correct one that signed block h - 1; their highest tip T is at least h - 2, and from T + 3 on nothing was signed.

An answer counts when it was given after this start (it carries this start's nonce), when its certificate holds for the
member set of its height, and when this member's own chain reaches it. A member that is silent itself does not answer:
it may have forgotten how far it was. Where the set changes just above T, the answers must suffice for both sets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from node.base.ports import Verifier
from node.base.types import CertifiedTip, Digest, Height, Instant, MemberSet, OrgId, TipRequest, VoteKind
from node.ledger.certificates import verify_certificate

ABOVE_TIP = 3
"""From T + 3 on nothing was signed: T >= h - 2."""
ASK_AGAIN_MS = 1_000
"""Who has not answered by then is asked again: it may have been silent itself."""

MembersAt = Callable[[Height], MemberSet | None]
"""The set in force at a height, as far as the own chain tells; None for a height that it does not know yet."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A link came up or went down."""

    peer: OrgId
    up: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A peer says how far it is."""

    peer: OrgId
    tip: CertifiedTip


@dataclass(frozen=True, slots=True)
class Advanced:
    """The own chain's height; also given once at the start."""

    height: Height


@dataclass(frozen=True, slots=True)
class AskAgain:
    """`wake_at` has come."""


RecoveryInput = Linked | Answered | Advanced | AskAgain


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the request to this peer."""

    peer: OrgId
    request: TipRequest


@dataclass(frozen=True, slots=True)
class Concluded:
    """Nothing was signed from this height on; the recovery is over."""

    until: Height


@dataclass(frozen=True, slots=True)
class FalseTip:
    """A peer's answer is not what any correct member sends."""

    peer: OrgId
    reason: str


RecoveryEffect = Ask | Concluded | FalseTip


class Recovery:
    """One search for a safe height. Memory: one answer per linked peer."""

    def __init__(self, org: OrgId, chain: Digest, nonce: Digest, members_at: MembersAt, verify: Verifier) -> None:
        """`nonce` must be unpredictable, and another one at every start."""
        self._org = org
        self._chain = chain
        self._request = TipRequest(nonce)
        self._members_at = members_at
        self._verify = verify
        self._height = Height(0)
        self._links: set[OrgId] = set()
        self._answers: dict[OrgId, CertifiedTip] = {}
        self._holding: dict[OrgId, Height] = {}
        """The answers that count."""
        self._ask_at_ms: int | None = None
        self._is_over = False

    @property
    def wake_at(self) -> int | None:
        """When `AskAgain` is due, in `mono_ms`."""
        return self._ask_at_ms if self._links and not self._is_over else None

    @property
    def answered(self) -> int:
        """How many answers count so far."""
        return len(self._holding)

    def step(self, input: RecoveryInput, *, now: Instant) -> list[RecoveryEffect]:
        """Take one input; returns what must happen, in this order."""
        if self._is_over:
            return []
        effects: list[RecoveryEffect] = []
        match input:
            case Linked(peer, up):
                effects += self._link(peer, up, now)
            case Answered(peer, tip):
                self._take(peer, tip)
            case Advanced(height):
                self._height = height
            case AskAgain():
                effects += self._ask(sorted(self._links - self._answers.keys()), now)
            case _:
                assert_never(input)
        return effects + self._weigh() + self._conclude()

    def _link(self, peer: OrgId, up: bool, now: Instant) -> list[RecoveryEffect]:
        if not up:
            self._links.discard(peer)
            return []
        self._links.add(peer)
        return [] if peer in self._answers else self._ask([peer], now)

    def _ask(self, peers: list[OrgId], now: Instant) -> list[RecoveryEffect]:
        self._ask_at_ms = now.mono_ms + ASK_AGAIN_MS
        return [Ask(peer, self._request) for peer in peers]

    def _take(self, peer: OrgId, tip: CertifiedTip) -> None:
        if peer in self._links and tip.nonce == self._request.nonce:
            self._answers.setdefault(peer, tip)

    def _weigh(self) -> list[RecoveryEffect]:
        """Check the answers that the own chain has reached; each once."""
        effects: list[RecoveryEffect] = []
        for peer, tip in self._answers.items():
            if peer in self._holding or tip.height > self._height:
                continue
            reason = self._refusal(tip)
            if reason is None:
                self._holding[peer] = tip.height
            else:
                effects.append(FalseTip(peer, f"its tip of height {tip.height} {reason}"))
        for fault in effects:
            assert isinstance(fault, FalseTip), "nothing else was added"
            # It may answer better next time.
            del self._answers[fault.peer]
        return effects

    def _refusal(self, tip: CertifiedTip) -> str | None:
        certificate = tip.certificate
        if tip.height == 0:
            return None if (certificate, tip.head) == (None, self._chain) else "is not this chain's beginning"
        if certificate is None:
            return "carries no certificate"
        if (certificate.height, certificate.block) != (tip.height, tip.head):
            return "carries a certificate of another block"
        members = self._members_at(tip.height)
        assert members is not None, "the own chain has reached this height"
        return verify_certificate(self._chain, members, certificate, VoteKind.COMMIT, self._verify)

    def _conclude(self) -> list[RecoveryEffect]:
        if not self._holding:
            # Alone, nobody knows: only the operator can end this silence.
            return []
        highest = Height(max(self._holding.values()))
        sets = [self._members_at(Height(highest + above)) for above in (1, 2)]
        if any(members is None or not self._suffices(members) for members in sets):
            return []
        self._is_over = True
        return [Concluded(Height(highest + ABOVE_TIP))]

    def _suffices(self, members: MemberSet) -> bool:
        others = [org for org in self._holding if org in members.keys and org != self._org]
        # More members than may lie speak of blocks above: the own chain is old, and so is its set.
        is_behind = len(self._answers) - len(self._holding) > members.faults_max
        return len(others) >= members.quorum - 1 and not is_behind
