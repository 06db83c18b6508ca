"""What a person touches: the command `lepton`."""

from node.cli.main import main

__all__ = ["main"]
