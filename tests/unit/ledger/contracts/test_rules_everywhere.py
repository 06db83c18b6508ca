"""Every member decides alike, whatever differs between their processes."""

import os
import subprocess
import sys

from node.ledger.contracts.rules import compiled
from node.testing.rulings import ruled_chain


def test_decisions_are_the_same_under_any_hash_seed() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "node.testing.rulings"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "4242")
    ]

    said = {process.communicate(timeout=120)[0] for process in running}

    assert len(said) == 1
    digest, codes = said.pop().split()
    assert len(digest) == 64
    # Deployed, decided each way, and refused for every kind of broken text: else the chain would prove little.
    assert {"ok", "error-by-rule", "rule-not-allowed", "rule-too-costly"} <= set(codes.split(","))


def test_decisions_do_not_depend_on_what_was_compiled_before() -> None:
    first = ruled_chain()
    kept = len(compiled._KEPT)
    again = ruled_chain()
    compiled._KEPT.clear()
    cold = ruled_chain()

    assert kept > 10
    assert first.certified[-1].block.digest == again.certified[-1].block.digest == cold.certified[-1].block.digest
