"""What all parts of the machine share: the height that is being agreed on, who votes there, what is to be done.

The machine stands in layers, each a file: `Seat`, `Rounds` (time, which round), `Blocks` (proposing, locking,
deciding), `Messages` (what the others say), `Consensus` (heights, and the step). A layer calls those below it; what a
member signs itself takes the way of everybody's messages, so `_receive` is declared here and stands above.
"""

from abc import ABC, abstractmethod

from node.base.ports import Keyring, Verifier
from node.base.types import Digest, Height, Instant, MemberSet, OrgId, Parameters
from node.core.consensus.agreement import Agreement
from node.core.consensus.effects import Broadcast, Effect, Equivocated, PeerFault
from node.core.consensus.inputs import ConsensusMessage
from node.core.consensus.pen import Signed
from node.core.consensus.witness import Proof, Witness


class Seat(ABC):
    """One member's place at the table."""

    def __init__(
        self,
        *,
        org: OrgId,
        chain: Digest,
        keyring: Keyring,
        verify: Verifier,
        parameters: Parameters,
        sign_from: Height | None,
    ) -> None:
        """At each height the key counts that the member set names; `keyring` finds its signer.

        Below `sign_from` nothing is signed, and nothing at all while it is None: what was signed there is unknown.
        """
        self._org = org
        self._chain = chain
        self._keyring = keyring
        self._verify = verify
        self._parameters = parameters
        self._sign_from = sign_from
        self._witness = Witness(org, chain, verify)
        self._at: Agreement | None = None
        self._restored: tuple[ConsensusMessage, ...] = ()
        self._early: dict[tuple[OrgId, str], ConsensusMessage] = {}
        self._effects: list[Effect] = []
        self._now = Instant(0, 0)

    @property
    def height(self) -> Height:
        """The height that is being agreed on; 0 before the first `StartHeight`."""
        return Height(0) if self._at is None else self._at.context.height

    @property
    def _agreement(self) -> Agreement:
        assert self._at is not None, "StartHeight comes first"
        return self._at

    @property
    def _members(self) -> MemberSet:
        return self._agreement.context.members

    @property
    def _is_voter(self) -> bool:
        """Whether this member votes at this height: in the set, with its key in force, not silent; else it listens."""
        if self._sign_from is None or self.height < self._sign_from:
            return False
        return self._agreement.pen.can_sign

    @abstractmethod
    def _receive(self, peer: OrgId, message: ConsensusMessage) -> None:
        """Take a message of a member, this one's own too."""

    def _send_own(self, message: Signed) -> None:
        """Send what was persisted, then pass it through the same checks as everybody's."""
        self._effects.append(Broadcast(message))
        self._receive(self._org, message)

    def _fault(self, peer: OrgId, reason: str) -> None:
        if peer == self._org:
            # After a long stop, the own restored proposal can be too old for its own check; it is then not followed.
            return
        self._effects.append(PeerFault(peer, reason))

    def _prove(self, *proofs: Proof | None) -> None:
        self._effects.extend(Equivocated(*proof) for proof in proofs if proof is not None)
