"""What can be wrong with what the ledger is given.

    LedgerError
        InvalidGenesis   a genesis file that not all founders signed, or that makes no sense
        Unacceptable     a transaction that no block may carry now
        InvalidBlock     a block whose execution does not give what its header says
        ChainBroken      a stored chain that stops being true at a height
        OtherCel         a chain that another version of CEL decided than the one that is installed
        Unprovable       something that this member does not keep (any more)
        Untrusted        a proof, snapshot or backup that does not follow from the genesis

`Rejected`, a contract's refusal inside a valid block, stands with the contracts.
"""

from node.base.errors import ExplainedError


class LedgerError(ExplainedError):
    """Anything that the ledger refuses."""


class InvalidGenesis(LedgerError):
    """A genesis that cannot found a chain; the text says which rule it breaks."""


class Unacceptable(LedgerError):
    """A transaction that cannot be included now."""

    def __init__(self, code: str, reason: str) -> None:
        """`code` is a short name like `expired`; `reason` one sentence for the operator."""
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class InvalidBlock(LedgerError):
    """A block that is not what executing it gives; of a peer's block: the peer's fault."""

    def __init__(self, reason: str) -> None:
        """`reason` names the header field or the rule."""
        super().__init__(reason)
        self.reason = reason


class ChainBroken(LedgerError):
    """The first height at which a stored chain is not what the genesis and the rules give."""

    def __init__(self, height: int, reason: str) -> None:
        """`reason` says what does not hold at `height`."""
        super().__init__(f"height {height}: {reason}")
        self.height = height
        self.reason = reason


class OtherCel(LedgerError):
    """From a height on contracts were decided by another version of CEL: executing again may give something else.

    The chain is not broken by that; nothing above is known here.
    """

    def __init__(self, height: int, decided_by: str, installed: str) -> None:
        """The first such height, and the two versions of cel-expr-python."""
        super().__init__(
            f"the chain holds below height {height}; there contracts are decided by CEL {decided_by}, and here "
            f"{installed} is installed, which may decide otherwise: nothing from there on is executed again unless "
            f"cel-expr-python {decided_by} is installed"
        )
        self.height = height


class Unprovable(LedgerError):
    """What was asked for is not kept here; the text says who may help."""


class Untrusted(LedgerError):
    """What was handed over does not follow from the genesis; the text names the first rule that it breaks."""
