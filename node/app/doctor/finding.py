"""What the doctor says."""

import enum
from dataclasses import dataclass


class Severity(enum.IntEnum):
    """How bad it is. Only a problem makes the exit code 1."""

    OK = 0
    NOTE = 1
    WARNING = 2
    PROBLEM = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the doctor found."""

    area: str
    severity: Severity
    says: str
    advice: str = ""
    """What to do; empty for what is well."""


def counted(count: int, noun: str) -> str:
    """`1 block`, `2 blocks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
