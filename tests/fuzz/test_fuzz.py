"""Ten thousand inputs for every reader of foreign bytes, the same in each run, and those that failed once."""

from pathlib import Path

import pytest

from node.testing.fuzz import TARGETS, Target, run_target
from node.testing.fuzz.command import main
from node.testing.fuzz.run import feed_one

INPUTS = 10_000
KEPT = sorted((Path(__file__).parent / "kept").glob("*/*"))
"""Inputs that a reader once took badly: `<target>/<what it was>`."""


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_whatever_comes_is_accepted_or_refused_as_declared(target: Target) -> None:
    tally = run_target(target, seed=1, first=0, inputs=INPUTS)

    assert tally.failures == []
    assert tally.inputs == INPUTS
    # Only spoilt inputs would try nothing behind the first check.
    assert tally.accepted > 0 or target.name in ("contract-evidence",)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_failed_once_does_not_again(path: Path) -> None:
    assert feed_one(TARGETS[path.parent.name], path.read_bytes()).failures == []


def test_a_reader_that_raises_or_swells_is_found_and_its_input_kept(tmp_path: Path) -> None:
    honest = TARGETS["message-Tip"]

    def prepare(folder: Path):
        prepared = honest.prepare(folder)

        def feed(data: bytes) -> bool:
            if data.endswith(b"\xff"):
                raise IndexError("as a careless reader would")
            return prepared.feed(data)

        return type(prepared)(prepared.corpus, feed)

    tally = run_target(Target("careless", prepare), seed=1, first=0, inputs=INPUTS)

    assert tally.failures
    assert all(failure.data.endswith(b"\xff") and "IndexError" in failure.error for failure in tally.failures)


def test_the_command_counts_what_it_fed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    failures = str(tmp_path / "failures")

    assert main(["--inputs", "2000", "--target", "message-Tip", "--target", "certificate", "--failures", failures]) == 0

    assert "2000 inputs in" in capsys.readouterr().out
    assert not (tmp_path / "failures").exists()


def test_an_input_that_cannot_be_read_is_refused_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--target", "message-Tip", "--input", str(tmp_path / "gone")]) == 2

    assert f"cannot read {tmp_path / 'gone'} (No such file or directory)" in capsys.readouterr().err
