"""What several commands of `scripts/` take as options."""

import argparse


def count(text: str) -> int:
    """A number of things, at least one. Raises `ArgumentTypeError`, for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)
