"""The command line of `scripts/sim`."""

from node.testing.simulation import command


def test_seeds_that_pass_are_summed_up_and_the_exit_code_is_0(capsys):
    assert command.main(["--seed", "3", "--seeds", "2", "--minutes", "0.05", "--replay", "--traitor"]) == 0

    assert capsys.readouterr().out.startswith("2 seeds passed, 0 failed")


def test_the_replay_command_names_every_option_that_matters():
    options = command._parser().parse_args(["--members", "7", "--minutes", "2", "--ed25519", "--traitor"])

    line = command._replay_command(options, 12)

    assert line == "scripts/sim --seed 12 --seeds 1 --members 7 --minutes 2.0 --ed25519 --traitor"
