"""The command line of `scripts/sim`."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from node.testing.signals import INTERRUPTED
from node.testing.simulation import command
from node.testing.simulation.campaign import Campaign
from node.testing.simulation.plan import FAULTY_MS_MIN

SEARCH = """
import sys
from node.testing.simulation.command import main

if __name__ == "__main__":
    sys.exit(main())
"""


def test_seeds_that_pass_are_summed_up_and_the_exit_code_is_0(capsys):
    assert command.main(["--seed", "3", "--seeds", "2", "--minutes", "0.05", "--replay", "--jobs", "1"]) == 0

    assert capsys.readouterr().out.startswith("2 seeds passed, 0 failed")


def test_the_report_as_json_names_speed_coverage_and_failures(capsys):
    assert command.main(["--seeds", "2", "--twins", "--json", "--jobs", "1"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "twins"
    assert report["failures"] == []
    assert report["virtual_seconds_per_second"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ["--members", "4-7", "--minutes", "2", "--ed25519", "--byzantine", "1", "--transactions", "9"],
        ["--members", "5"],
        ["--twins", "--members", "4-7"],
    ],
)
def test_the_line_that_replays_a_seed_gives_the_same_run(words):
    campaign = command._campaign(command._parser().parse_args(words))

    line = campaign.command(12)

    assert line.startswith("scripts/sim ")
    replayed = command._campaign(command._parser().parse_args(line.split()[1:]))
    assert (replayed.plan(12), replayed.twins) == (campaign.plan(12), campaign.twins)


def test_a_seeds_members_follow_from_the_seed():
    campaign = Campaign(0, 100, (4, 10))

    assert {campaign.plan(seed).members for seed in range(100)} == set(range(4, 11))


@pytest.mark.parametrize(
    "words",
    [
        ["--members", "7-4"],
        ["--members", "0"],
        ["--members", "all"],
        ["--seeds", "0"],
        ["--jobs", "0"],
        ["--transactions", "-1"],
        ["--byzantine", "some"],
        ["--minutes", "0.01"],
        ["--minutes", "long"],
        ["--minutes", "inf"],
        ["--minutes", "nan"],
    ],
)
def test_what_makes_no_sense_is_refused_in_words(words, capsys):
    with pytest.raises(SystemExit):
        command._parser().parse_args(words)

    said = capsys.readouterr().err
    assert "usage" in said
    assert "invalid" not in said, "argparse's own words name a function of ours"


def test_faults_alone_are_a_campaign_too():
    assert command.main(["--seeds", "2", "--transactions", "0", "--jobs", "1"]) == 0


def test_faults_of_every_kind_find_room_in_the_shortest_time():
    assert command.main(["--seeds", "20", "--minutes", f"{FAULTY_MS_MIN / 60_000}", "--jobs", "1"]) == 0


def test_who_stops_a_campaign_is_told_how_far_it_was(tmp_path):
    script = tmp_path / "search.py"
    script.write_text(SEARCH)
    words = ["--seed", "7", "--seeds", "100000", "--minutes", f"{FAULTY_MS_MIN / 60_000}", "--jobs", "2"]
    with subprocess.Popen(
        [sys.executable, script, *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as search:
        try:
            assert search.stderr.readline() == f"{command.PROGRESS_EVERY} of 100000 seeds\n"
        finally:
            # As Ctrl-C does it: to the workers, too.
            os.killpg(search.pid, signal.SIGINT)
        said = search.stderr.read()

    assert search.returncode == INTERRUPTED
    found = re.search(r"^sim: interrupted after (\d+) of 100000 seeds, 0 failed; go on with --seed (\d+)$", said, re.M)
    assert found is not None, said
    assert int(found[2]) == 7 + int(found[1])
    assert int(found[1]) >= command.PROGRESS_EVERY
    assert "Traceback" not in said
