"""What may leave this organisation in an update, whatever the job and the learner ask for.

Applied in the daemon, after the learner and before anything is committed: an application cannot get around it
(FLIP#852). What a policy changes or refuses is told to the operator.
"""

from collections.abc import Callable
from dataclasses import dataclass

from node.base.ports import LearnerError
from node.core.averaging import flat, limit_norm


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """An organisation's own limits; None limits nothing."""

    norm_max: float | None = None
    """Longer updates (Euclidean norm, in the model's units) are shortened to this."""
    values_max: int | None = None
    """No update of more values leaves: a large model can carry whole rows out."""

    def check_size(self, length: int) -> None:
        """Raises `LearnerError` for a model of more values than may leave."""
        if self.values_max is not None and length > self.values_max:
            raise LearnerError(
                f"the model has {length} values and this member's egress policy lets {self.values_max} out: "
                "refuse such jobs, or raise egress.values_max in node.toml"
            )

    def apply(self, base: bytes, new: bytes, log: Callable[[str], None]) -> bytes:
        """The parameters that may be compared with `base`; flat little-endian float32, as both arguments are."""
        if self.norm_max is None:
            return new
        limited, norm = limit_norm(flat(base), flat(new), self.norm_max)
        if norm <= self.norm_max:
            return new
        log(f"egress policy: the update of norm {norm:.4g} was shortened to {self.norm_max:g}")
        return limited.astype("<f4", copy=False).tobytes()


NO_LIMITS = EgressPolicy()
