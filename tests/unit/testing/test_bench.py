"""What the benchmark makes of its measurements: pure parts only, no timing."""

import json
import math

import numpy as np
import pytest

from node.base.types import Digest, OrgId
from node.ledger.contracts.training import Phase, TrainingRound
from node.testing.bench.averaging import BARE_ROUNDS, ROUNDS, VALUES
from node.testing.bench.bare import _chunks
from node.testing.bench.consensus import ORGS, TRANSACTION_BYTES, registration, transaction_bytes
from node.testing.bench.figures import Figure, as_json, machine, percentile, ratio
from node.testing.bench.parts import PARTS, chosen_parts
from node.testing.bench.syncs import count_syncs
from node.testing.bench.traffic import _messages_per_block, ideal_messages
from node.testing.bench.training import round_seconds


def record(number: int, opened_ms: int) -> TrainingRound:
    return TrainingRound(
        training_round=number,
        phase=Phase.CLOSED,
        attempt=0,
        cohort=(OrgId("a"),),
        exponent=0,
        base=Digest(bytes(32)),
        opened_ms=opened_ms,
        commitments=(),
        lates=(),
        missing=(),
        candidates=(),
        dropped=(),
        ranges=(),
        prepared=(),
        haves=(),
        conflicts=(),
        model=None,
    )


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 50, 3.0),
        ([1.0, 2.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 50, 50.0),
        ([float(n) for n in range(1, 101)], 90, 90.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
        ([1.0, 2.0, 3.0], 0, 1.0),
    ],
)
def test_percentile_is_a_measured_value(values, percent, expected):
    assert percentile(values, percent) == expected


def test_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)


def test_ratio_divides_and_keeps_the_raw_numbers():
    figure = ratio("a_over_b", 6.0, 4.0, {"a_s": 6.0, "b_s": 4.0})

    assert figure == Figure("a_over_b", 1.5, {"a_s": 6.0, "b_s": 4.0})


@pytest.mark.parametrize(("over", "under"), [(1.0, 0.0), (0.0, 1.0), (math.nan, 1.0), (1.0, math.inf), (1.0, -1.0)])
def test_ratio_of_what_was_not_measured_is_an_error(over, under):
    with pytest.raises(ValueError, match="a_over_b would be"):
        ratio("a_over_b", over, under, {})


def test_json_holds_machine_flat_figures_and_raw_numbers():
    found = [Figure("x_over_y", 2.0, {"x_ms": 4.0, "y_ms": 2.0}), Figure("z_mb", 91.5)]

    content = json.loads(json.dumps(as_json(found, machine())))

    assert {"cpu", "cores", "memory", "python", "platform"} <= set(content["machine"])
    assert content["machine"]["cores"] >= 1
    assert content["figures"] == {"x_over_y": 2.0, "z_mb": 91.5}
    assert content["raw"] == {"x_over_y": {"x_ms": 4.0, "y_ms": 2.0}, "z_mb": {}}


def test_the_parts_give_the_figures_that_were_promised():
    assert {name: part.figures for name, part in PARTS.items()} == {
        "daemon": ("daemon_idle_mb",),
        "consensus": ("latency_p50_over_rtt", "latency_p99_over_rtt", "tx_rate_over_bound"),
        "consensus-training": ("latency_p99_training_over_idle",),
        "consensus-traffic": ("messages_over_ideal", "bytes_over_ideal"),
        "consensus-state": ("block_cost_1m_over_1k",),
        "consensus-syncs": ("syncs_per_block",),
        "memory": ("memory_growth",),
        "catchup": ("catch_up_over_load", "catch_up_over_load_single"),
        "training": ("round_over_training",),
        "sharing": ("add_over_crypto", "fetch_over_stream", "resident_mb"),
        "sharing-rules": ("decisions_per_s",),
        "averaging": ("averaging_over_stream",),
    }


def test_a_parts_own_parts_run_with_it_and_long_ones_only_when_named():
    own = ["consensus", "consensus-training", "consensus-traffic", "consensus-state", "consensus-syncs"]

    assert chosen_parts("consensus") == own
    assert chosen_parts("consensus-state") == ["consensus-state"]
    assert chosen_parts("memory") == ["memory"]
    assert chosen_parts(None) == [name for name in PARTS if name != "memory"]


def test_syncs_are_those_of_votes_and_blocks_without_checkpoints():
    lines = [
        "7 fsync(9</m/votes.log>) = 0",
        "8 fdatasync(11</m/ledger.sqlite-wal>) = 0",
        "7 fsync(9</m/votes.log> <unfinished ...>",
        "7 <... fsync resumed>) = 0",
        # A checkpoint: the log, then the database.
        "8 fdatasync(11</m/ledger.sqlite-wal>) = 0",
        "8 fdatasync(10</m/ledger.sqlite>) = 0",
        "7 +++ exited with 0 +++",
    ]

    assert count_syncs(lines) == 3


@pytest.mark.parametrize(("members", "messages"), [(4, 27), (7, 90), (100, 99 * 201)])
def test_the_fewest_messages_are_a_proposal_and_two_rounds_of_votes(members, messages):
    assert ideal_messages(members) == messages == (members - 1) + 2 * members * (members - 1)


def test_four_members_send_fewer_messages_than_that():
    # A proposal is its proposer's prepare, and who has decided says no more: a quorum of three speaks in any case.
    least = 3 * (1 + 2 + 3)

    assert least <= _messages_per_block(4) <= ideal_messages(4)


def test_transactions_of_the_load_have_250_bytes_and_each_its_own_data_set():
    assert {transaction_bytes(org) for org in ORGS} == {TRANSACTION_BYTES}
    assert registration(1) != registration(2)
    assert len(registration(0)) == len(registration(999_999_999))


def test_training_rounds_are_timed_without_the_preparation_the_first_and_the_last():
    records = [record(0, 0), record(1, 5_000), record(2, 9_000), record(3, 9_400), record(4, 10_000)]

    assert round_seconds(records) == [0.4, 0.6]


def test_averaging_moves_100_mb_and_takes_medians():
    assert VALUES * 4 == 100_000_000
    assert BARE_ROUNDS % 2 == 1
    assert ROUNDS % 2 == 1


def test_bare_chunks_are_the_whole_range_in_order():
    values = np.arange(600_001, dtype=np.float32)

    chunks = _chunks(values)

    assert b"".join(chunks) == values.tobytes()
    assert max(len(chunk) for chunk in chunks) == 1 << 20
