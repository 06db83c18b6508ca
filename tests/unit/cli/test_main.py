"""The top level of the command line: what it lists, and what a command makes it load."""

import subprocess
import sys

from typer.main import get_command
from typer.testing import CliRunner

from node.cli.main import lepton

NAMES = get_command(lepton).list_commands(None)


def test_the_help_lists_every_command_with_its_words():
    listed = CliRunner().invoke(lepton, ["--help"]).output

    lines = [line.strip("│ ").split(maxsplit=1) for line in listed.splitlines()]
    assert [words[0] for words in lines if len(words) == 2 and words[0] in NAMES] == NAMES


def test_a_command_loads_no_other_command():
    look = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from node.cli.main import lepton\n"
        "assert CliRunner().invoke(lepton, ['job', '--help']).exit_code == 0\n"
        "print(*sorted(name for name in sys.modules if name.startswith('node.cli.')))"
    )

    found = subprocess.run([sys.executable, "-P", "-c", look], capture_output=True, text=True, check=True).stdout

    assert found.split() == [f"node.cli.{name}" for name in ("common", "job", "lazily", "main")]


def test_a_name_that_is_none_is_told_with_the_one_that_was_meant():
    done = CliRunner().invoke(lepton, ["statsu"])

    assert done.exit_code == 2
    assert "No such command 'statsu'. Did you mean 'status'?" in done.output
