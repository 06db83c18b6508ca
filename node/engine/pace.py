"""How many transactions this member puts into a block that it proposes.

All members must execute a block within a round's time-out. On a slow or busy machine a full block takes longer, and
then every round fails like the one before. So a block that took more than one round makes the next ones much smaller,
and each that took one round lets them grow again.
"""

FIRST = 256
LEAST = 32
GROWTH = 2
CUT = 4


class Pace:
    """Between `LEAST` and the chain's own limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = min(FIRST, most)

    def decided(self, round_: int, transactions: int) -> None:
        """A block with so many transactions became final in this round."""
        if round_ > 0:
            self._now = max(min(LEAST, self._most), self._now // CUT)
        elif transactions >= self._now:
            self._now = min(self._most, self._now * GROWTH)

    def transactions_max(self, round_: int) -> int:
        """What a proposal in this round may carry."""
        return max(min(LEAST, self._most), self._now // (1, CUT, CUT * CUT)[min(round_, 2)])
