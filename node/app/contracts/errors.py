"""What a contract's file can have."""

from node.base.errors import ExplainedError


class RulesFileError(ExplainedError):
    """A file that is no contract; the text says what to mend."""
