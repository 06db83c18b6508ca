"""The command line of `scripts/sim`."""

import json

import pytest

from node.testing.simulation import command
from node.testing.simulation.campaign import Campaign


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


@pytest.mark.parametrize("words", [["--members", "7-4"], ["--members", "0"], ["--seeds", "0"]])
def test_what_makes_no_sense_is_refused_in_words(words, capsys):
    with pytest.raises(SystemExit):
        command._parser().parse_args(words)

    assert "usage" in capsys.readouterr().err
