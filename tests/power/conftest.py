"""Recording needs SQLite's own functions; where Python hides them, these tests say so."""

from pathlib import Path

import pytest

from node.testing.power import Journal, VfsUnavailable, recording


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder whose SQLite files can be recorded."""
    try:
        with recording(tmp_path, Journal()):
            return tmp_path
    except VfsUnavailable as error:
        pytest.skip(str(error))
