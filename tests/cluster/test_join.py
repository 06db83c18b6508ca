"""The join call with real daemons and commands: a stranger's card waits, a member that was cut off gets back in."""

import pytest

from node.edge.transport import free_port


@pytest.mark.timeout(240)
async def test_cards_are_handed_in_over_the_network(tmp_path, tools):
    site = tools.Site(tmp_path, ["a", "b"])
    site.found("join")
    a, b = site.folder("a"), site.folder("b")
    to = f"127.0.0.1:{free_port()}"
    with (a / "node.toml").open("a") as settings:
        settings.write(f'join_listen = "{to}"\n')
    stranger = tmp_path / "stranger"
    (tmp_path / "passphrase").write_text("secret\n")
    tools.lepton("--dir", stranger, "init", "--org", "south", "--passphrase-file", tmp_path / "passphrase")
    try:
        await site.start()

        # Only the certificate in the given card is trusted; the stranger's card then waits for the operator.
        wrong = tools.refused("--dir", stranger, "network", "apply", "--to", to, "--member", b / "card.json")
        assert "did not take the card" in wrong
        assert tools.lepton_json("--dir", a, "network", "applicants") == []
        applied = tools.lepton_json("--dir", stranger, "network", "apply", "--to", to, "--member", a / "card.json")
        assert applied["answer"].startswith("received")
        (waiting,) = tools.lepton_json("--dir", a, "network", "applicants")
        assert (waiting["org"], waiting["organisation_key"]) == ("south", applied["organisation_key"])

        # A member's newer card goes to the ledger, whoever hands it in; its own daemon hears of it there.
        newer = tmp_path / "newer.json"
        tools.lepton("--dir", b, "keys", "rotate", "tls", "--card-out", newer)
        done = tools.lepton("--dir", b, "keys", "present", newer, "--to", to, "--member", a / "card.json")
        assert "goes there" in done.stdout
        tools.wait_for(lambda: tools.lepton_json("--dir", b, "keys", "show")["card"] == 2, "the card on b's ledger")
        again = tools.refused("--dir", b, "keys", "present", newer, "--to", to, "--member", a / "card.json")
        assert "not newer" in again
        shown = tools.lepton_json("--dir", b, "keys", "show")
        assert [row["held"] for row in shown["keys"] if row["key"] == "tls"] == [True, True]
        assert shown["notes"] == []
        tools.assert_clean(site.logs())
    finally:
        site.stop()
