"""The floors of the house, and generated code that is what its sources give."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        [str(Path(sys.executable).with_name("lint-imports"))],
        [sys.executable, "scripts/proto", "--check"],
    ],
    ids=["floors", "stubs"],
)
def test_the_house_stands(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
