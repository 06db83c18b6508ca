"""What is installed beside this program and must be the same at all members."""

from importlib import metadata


def installed_cel_version() -> str:
    """The version of cel-expr-python, by which organisations' conditions are decided."""
    return metadata.version("cel-expr-python")
