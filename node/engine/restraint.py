"""Whether this member may agree on the next block: its silence after a lost vote log, and the operator's halt.

Answers questions and runs the search for the silence's end; what follows from it is the replica's to do.
"""

from collections.abc import Sequence

from node.base.ports import Silence, Verifier
from node.base.types import Digest, Height, Instant, MemberSet, OrgId, Tip
from node.core import consensus


class Restraint:
    """Changed by the replica only."""

    def __init__(
        self,
        org: OrgId,
        chain: Digest,
        *,
        silence: Silence | None,
        halt_at: Height | None,
        nonce: Digest,
        members_at: consensus.MembersAt,
        verify: Verifier,
        cel_version: str,
    ) -> None:
        """`silence` is None when the vote log is missing; `nonce` is this start's own; `cel_version` is installed."""
        self._org = org
        self.silence = silence
        self.halt_at = halt_at
        self._cel_version = cel_version
        self._recovery: consensus.Recovery | None = None
        if silence is None:
            self._recovery = consensus.Recovery(org, chain, nonce, members_at, verify)

    @property
    def wake_at(self) -> int | None:
        """When the search wants to ask again, in `mono_ms`."""
        return None if self._recovery is None else self._recovery.wake_at

    def is_silent(self, height: Height) -> bool:
        """Whether nothing may be signed at this height."""
        return self.silence is None or height < self.silence.until

    def is_halted(self, head: Height) -> bool:
        """Whether no block may follow this one."""
        return self.halt_at is not None and head >= self.halt_at

    def why_unfit(self, cel_version: str) -> str | None:
        """Why this member may judge no block where conditions are decided by this version; None when it may."""
        if cel_version == self._cel_version:
            return None
        return (
            f"the network decides contracts by CEL {cel_version}, and here {self._cel_version} is installed; "
            f"another version may decide otherwise: install cel-expr-python {cel_version} and start the daemon again"
        )

    def search(self, input: consensus.RecoveryInput, now: Instant) -> list[consensus.RecoveryEffect]:
        """Go on looking for the silence's end, if that is still unknown."""
        return [] if self._recovery is None else self._recovery.step(input, now=now)

    def fall_silent(self, silence: Silence) -> None:
        """The end is known."""
        self.silence = silence
        self._recovery = None

    def recovery_refusal(self, head: Height, tips: Sequence[Tip]) -> str | None:
        """None when the operator may end the silence now, else the reason."""
        if not self.is_silent(Height(head + 1)):
            return "this member is not silent: there is nothing to recover"
        ahead = max((tip.height for tip in tips), default=head)
        if ahead > head:
            return f"this member is at height {head} and others at {ahead}: wait until it has caught up"
        return None

    def why_silent(self, head: Height, members: MemberSet) -> str | None:
        """Why nothing is signed now and what ends it, for the operator; None when this member is not silent."""
        if not self.is_silent(Height(head + 1)):
            return None
        stands = len(members.orgs) - 1 < members.quorum
        stuck = "; the chain cannot go on without this member: lepton recover" if stands else ""
        if self.silence is not None:
            return f"the vote log was lost, and below height {self.silence.until} this member may have signed{stuck}"
        answered = 0 if self._recovery is None else self._recovery.answered
        needed = members.quorum - 1
        return f"the vote log is missing: {answered} of {needed} other members have said how far they are{stuck}"
