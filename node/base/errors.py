"""What errors that people are meant to read have in common."""


class ExplainedError(Exception):
    """Its text says to whoever asked what is wrong and what to do: a command prints it alone and exits with 1.

    Every other exception, those of the system apart, is a fault of the program and keeps its trace.
    """


EXPLAINED = (ExplainedError, OSError)
"""What a command says in one sentence: its own errors, and the system's."""
