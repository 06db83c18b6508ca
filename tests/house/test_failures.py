"""Failures that real systems shipped, in agreement and ledger, and the tests that hold each of them off here.

The list is an index: who wants to know how a failure is kept out reads the tests behind its line. It fails when one of
them is gone or has another name.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

CONSENSUS = "unit/core/consensus"
SCENARIOS = "simulation/test_scenarios.py"

FAILURES: dict[str, tuple[str, ...]] = {
    "members lock different blocks and never unlock (IBFT 1, quorum#305)": (
        f"{CONSENSUS}/test_agreement.py::test_two_locks_end_in_a_decision",
        f"{CONSENSUS}/test_hostile.py::test_of_two_locks_only_the_higher_may_be_proposed",
    ),
    "quorum 2f+1 forks when n is not 3f+1 (celo#253, klaytn#2026)": (
        f"{CONSENSUS}/test_quorum.py::test_two_quorums_share_more_than_f_members_and_the_honest_reach_one",
        f"{CONSENSUS}/test_quorum.py::test_a_duplicated_member_does_not_fill_a_quorum",
        "unit/ledger/test_certificates.py::test_exactly_the_quorum_is_needed",
    ),
    "growing stalls, adding or removing one halts (quorum#796, besu#8425, quorum#1728)": (
        f"{CONSENSUS}/test_sets.py::test_one_grows_to_seven_and_shrinks_to_one_with_a_restart_at_each_height",
        f"{CONSENSUS}/test_sets.py::test_the_proposer_of_the_next_height_is_removed",
        "members/test_membership.py::test_one_grows_to_seven_and_shrinks_to_one_under_load",
    ),
    "a block delivered twice, a view change races the sync (SmartBFT#484, #570, #663)": (
        "unit/engine/replica/test_interleavings.py::"
        "test_every_interleaving_applies_the_block_once_and_signs_nothing_twice",
        f"{SCENARIOS}::test_a_block_delivered_by_catch_up_and_by_agreement_is_applied_once",
    ),
    "a round inside the block's hash makes a re-proposal invalid (besu#7875)": (
        f"{CONSENSUS}/test_agreement.py::test_a_re_proposal_keeps_the_digest",
        f"{CONSENSUS}/test_sets.py::test_a_lock_under_the_new_set_is_proposed_again_by_one_that_has_just_entered",
    ),
    "proposer order from data that is not hashed (CometBFT ASA-2024-009)": (
        "simulation/test_evidence.py::test_the_proposers_after_a_change_follow_from_the_state_alone",
        "members/test_snapshots.py::test_a_member_without_a_chain_joins_by_a_snapshot_and_agrees_on",
    ),
    "fields that repeat each other disagree (CSA-2026-001, GHSA-r3r4, GHSA-hrhf)": (
        f"{CONSENSUS}/test_hostile.py::test_each_redundant_field_of_a_proposal_is_checked",
        f"{CONSENSUS}/test_hostile.py::test_each_part_of_a_justification_is_checked",
        f"{CONSENSUS}/test_hostile.py::test_a_prepared_block_that_is_not_what_it_says_is_refused",
        f"{CONSENSUS}/test_hostile.py::test_every_field_of_every_message_may_lie_and_nothing_crashes",
        f"{CONSENSUS}/test_recovery.py::test_each_part_of_an_answer_is_checked",
        f"{CONSENSUS}/test_quorum.py::test_a_signature_under_another_members_name_does_not_count",
        "unit/ledger/test_certificates.py::test_every_part_counts",
        "unit/ledger/test_apply.py::test_every_header_field_is_checked",
    ),
    "a peer lowers its height and sync never ends (CVE-2025-24371)": (
        f"{SCENARIOS}::test_a_lying_sync_peer_is_dropped_and_another_serves",
        f"{SCENARIOS}::test_a_peer_that_claims_a_great_height_and_lowers_it_does_not_hold_the_catch_up",
        "unit/core/gossip/test_gossip.py::test_a_peer_that_lowers_its_tip_does_not_hold_the_catch_up",
        f"{CONSENSUS}/test_recovery.py::test_a_peer_that_claims_a_height_nobody_has_holds_nothing_up",
    ),
    "unbounded round numbers fill memory (besu GHSA-23rh)": (
        f"{CONSENSUS}/test_hostile.py::test_unbounded_rounds_are_bounded",
        f"{CONSENSUS}/test_hostile.py::test_round_changes_of_all_members_to_the_last_round_crash_nobody",
        f"{CONSENSUS}/test_witness.py::test_memory_is_bounded_for_each_member",
    ),
    "a validator cannot sign a replayed vote again: halt (tendermint#8739)": (
        f"{CONSENSUS}/test_restart.py::test_killed_at_every_effect_the_height_decides_and_nothing_is_signed_twice",
        f"{SCENARIOS}::test_killed_at_every_effect_boundary_and_restarted",
        "simulation/test_silence.py::test_killed_at_every_effect_of_its_recovery_nothing_is_signed_twice",
    ),
    "a double-sign guard that never worked (tendermint#5668)": (
        f"{CONSENSUS}/test_restart.py::test_the_pen_refuses_a_second_signature",
        f"{CONSENSUS}/test_witness.py::test_two_different_statements_are_proof_with_both_signatures",
        "cluster/test_recovery.py::test_a_member_that_runs_twice_is_named_on_the_ledger_and_suspended",
    ),
    "a chain's name used again: old votes count (tendermint#4926)": (
        f"{CONSENSUS}/test_hostile.py::test_two_chains_with_the_same_members_do_not_mix",
        "unit/edge/storage/test_votelog.py::test_another_chains_log_is_refused",
        "unit/edge/storage/test_sqlite.py::test_another_chains_database_is_refused",
        "unit/edge/transport/test_trust.py::test_another_chain_or_version_is_refused",
    ),
    "the empty-block timer forks or stops the chain (quorum#1630)": (
        f"{SCENARIOS}::test_an_idle_network_makes_only_heartbeat_blocks",
        f"{CONSENSUS}/test_agreement.py::test_without_work_nobody_signs_or_waits",
        "unit/core/mempool/test_mempool.py::test_after_an_empty_block_what_cannot_be_included_leaves",
    ),
    "a wiped folder deadlocks the network (besu#8307); more than a third down needs everybody restarted": (
        "simulation/test_silence.py::"
        "test_more_than_a_third_down_and_one_of_them_wiped_goes_on_by_starting_only_what_fell",
        "simulation/test_silence.py::test_all_down_at_once_and_one_of_four_wiped_goes_on",
        "simulation/test_silence.py::test_two_of_four_wiped_stand_until_one_operator_speaks",
        f"{SCENARIOS}::test_two_of_four_down_make_no_block_and_one_that_returns_is_enough",
        "cluster/test_recovery.py::test_a_wiped_folder_rejoins_by_itself_and_a_halt_stops_all_at_one_block",
    ),
    "expired certificates block the transaction that would replace them (fabric#4875)": (
        "unit/ledger/contracts/test_membership_cards.py::test_an_expired_tls_term_never_blocks_its_own_renewal",
    ),
    "two writing connections corrupt SQLite's log when it is reset (before 3.51.3)": (
        "unit/edge/storage/test_sqlite.py::test_one_connection_writes_beside_readers_that_each_keep_their_moment",
        "unit/edge/storage/test_sqlite.py::test_a_crash_at_any_instant_leaves_whole_blocks",
        "power/test_ledger.py::test_no_acknowledged_block_is_lost",
    ),
}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_is_held_off_by_tests_that_exist(failure):
    assert FAILURES[failure]
    for test in FAILURES[failure]:
        file, _, name = test.partition("::")
        assert name in names_in(TESTS / file), f"{test} is gone: what holds off that {failure}?"
