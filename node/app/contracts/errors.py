"""What a contract's file can have."""


class RulesFileError(Exception):
    """A file that is no contract; the text says what to mend."""
