"""`lepton data restore`, as far as it goes without a daemon."""

from pathlib import Path

from typer.testing import CliRunner

from node.api import DaemonUnreachable
from node.cli.common import CommandError
from node.cli.main import lepton


def restore(folder: Path, name: str) -> BaseException | None:
    (folder / "node.toml").write_text('org = "cleveland"\nlisten = "127.0.0.1:0"\n')
    return CliRunner().invoke(lepton, ["--dir", str(folder), "data", "restore", name]).exception


def test_anothers_data_set_is_not_restored_but_fetched(tmp_path: Path) -> None:
    refused = restore(tmp_path, "budapest/patients")

    assert isinstance(refused, CommandError)
    assert "lepton data fetch budapest/patients" in str(refused)


def test_an_own_data_set_may_be_called_by_either_name(tmp_path: Path) -> None:
    tried = [restore(tmp_path, name) for name in ("patients", "cleveland/patients")]

    # Both come as far as the daemon, which does not run.
    assert [type(error) for error in tried] == [DaemonUnreachable, DaemonUnreachable]
