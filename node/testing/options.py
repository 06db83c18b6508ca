"""What several commands of `scripts/` take as options."""

import argparse


def count(text: str) -> int:
    """A number of things, at least one. Raises `ArgumentTypeError` for anything else."""
    return _from(1, text)


def count_or_none(text: str) -> int:
    """A number of things, or 0 to do without. Raises `ArgumentTypeError` for anything else."""
    return _from(0, text)


def _from(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text} is not a number from {least} on")
    return int(text)
