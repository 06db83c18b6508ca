"""Tips, catch-up, fan-out and bodies: whom this member asks, and whom it stops asking."""

import pytest

from node.base.codec import decode
from node.base.types import (
    BlocksRequest,
    BlocksResponse,
    BodiesRequest,
    CertifiedBlock,
    Digest,
    Height,
    Instant,
    OrgId,
    Signature,
    Tip,
    Transaction,
    TransactionBody,
    Transactions,
    VoteKind,
)
from node.core import gossip
from node.core.gossip.catch_up import ANSWER_MS_MAX, GRACE_MS, SHUN_MS
from node.core.gossip.gossip import REPEAT_MS, TIP_INTERVAL_MS
from node.core.gossip.outbox import BATCH_BYTES_MAX, BATCH_TRANSACTIONS_MAX, GATHER_MS, TREE_FANOUT
from node.testing.council import Forge

ME, A, B, C = (OrgId(name) for name in ("me", "a", "b", "c"))
HEAD = Digest(bytes(32))


def at(mono_ms: int) -> Instant:
    return Instant(mono_ms, 0)


def tip(height: int, mark: int = 0) -> Tip:
    return Tip(Height(height), Digest(bytes([mark]) * 32))


def linked(*peers: OrgId, height: int = 0) -> gossip.Gossip:
    machine = gossip.Gossip(ME)
    machine.step(gossip.Advanced(Height(height), HEAD), now=at(0))
    for peer in peers:
        machine.step(gossip.Linked(peer, True), now=at(0))
    return machine


def blocks(start: int, count: int) -> tuple[CertifiedBlock, ...]:
    found = []
    for height in range(start, start + count):
        forge = Forge(4)
        forge.height = Height(height)
        block = forge.block(forge.proposer(0))
        found.append(CertifiedBlock(block, forge.certificate(block, 0, VoteKind.COMMIT)))
    return tuple(found)


def requests(effects: list[gossip.Effect]) -> list[tuple[OrgId, BlocksRequest]]:
    return [(e.peer, e.message) for e in effects if isinstance(e, gossip.Send) and isinstance(e.message, BlocksRequest)]


def tips(effects: list[gossip.Effect]) -> list[tuple[OrgId, int]]:
    return [(e.peer, e.message.height) for e in effects if isinstance(e, gossip.Send) and isinstance(e.message, Tip)]


def faults(effects: list[gossip.Effect]) -> list[OrgId]:
    return [e.peer for e in effects if isinstance(e, gossip.PeerFault)]


def test_a_new_link_hears_the_tip_and_own_pending_transactions():
    machine = linked(height=3)

    effects = machine.step(gossip.Linked(A, True), now=at(1))

    assert effects == [gossip.Send(A, Tip(Height(3), HEAD)), gossip.SendPending(A, own_only=True)]


def test_a_new_block_is_told_to_all():
    machine = linked(A, B)

    effects = machine.step(gossip.Advanced(Height(1), HEAD), now=at(1))

    assert effects == [gossip.Send(A, Tip(Height(1), HEAD)), gossip.Send(B, Tip(Height(1), HEAD))]


def test_far_behind_asks_at_once_one_behind_after_a_grace():
    machine = linked(A, B)

    assert requests(machine.step(gossip.TipReceived(A, tip(1)), now=at(10))) == []
    assert machine.wake_at == 10 + GRACE_MS
    assert requests(machine.step(gossip.Tick(), now=at(10 + GRACE_MS))) == [(A, BlocksRequest(Height(1), 1))]

    machine = linked(A, B)
    effects = machine.step(gossip.TipReceived(B, tip(200)), now=at(10))
    assert requests(effects) == [(B, BlocksRequest(Height(1), gossip.BLOCKS_PER_REQUEST_MAX))]


def test_fetched_blocks_are_applied_one_after_the_other():
    machine = linked(A)
    machine.step(gossip.TipReceived(A, tip(3)), now=at(10))
    one, two, three = blocks(1, 3)

    first = machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), (one, two, three))), now=at(20))
    again = machine.step(gossip.Tick(), now=at(21))
    second = machine.step(gossip.Advanced(Height(1), HEAD), now=at(30))

    assert first == [gossip.Apply(A, one, followed=True)]
    assert again == []
    assert second == [gossip.Apply(A, two, followed=True)]


def test_a_block_that_agreement_brought_first_is_not_applied_again():
    # SmartBFT#484, #570: one block by sync and by agreement.
    machine = linked(A)
    machine.step(gossip.TipReceived(A, tip(3)), now=at(10))
    machine.step(gossip.Advanced(Height(1), HEAD), now=at(15))
    one, two, three = blocks(1, 3)

    effects = machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), (one, two, three))), now=at(20))
    later = machine.step(gossip.Advanced(Height(3), HEAD), now=at(30))

    assert effects == [gossip.Apply(A, two, followed=True)]
    assert not any(isinstance(effect, gossip.Apply) for effect in later)


def test_a_peer_with_a_false_block_is_shunned_and_another_is_asked():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(5)), now=at(11))
    machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), blocks(1, 5))), now=at(20))

    effects = machine.step(gossip.BlockRefused(A, "false"), now=at(21))

    assert faults(effects) == [A]
    assert [peer for peer, _ in requests(effects)] == [B]


def test_wrong_answers_are_refused():
    for answer in (blocks(2, 3), blocks(1, 1) + blocks(3, 1), blocks(1, 6)):
        machine = linked(A, B)
        machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
        machine.step(gossip.TipReceived(B, tip(5)), now=at(10))

        effects = machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), answer)), now=at(20))

        assert faults(effects) == [A]
        assert [peer for peer, _ in requests(effects)] == [B]


def test_an_answer_that_nobody_asked_for_is_ignored():
    machine = linked(A, B)

    assert machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), blocks(1, 1))), now=at(5)) == []
    machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
    assert machine.step(gossip.BlocksReceived(B, BlocksResponse(Height(1), blocks(1, 5))), now=at(20)) == []


def test_a_silent_peer_is_given_up_and_asked_again_later():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(5)), now=at(10))

    assert machine.wake_at == 10 + ANSWER_MS_MAX
    first = machine.step(gossip.Tick(), now=at(10 + ANSWER_MS_MAX))
    second = machine.step(gossip.Tick(), now=at(10 + 2 * ANSWER_MS_MAX))
    assert faults(first) == [A]
    assert [peer for peer, _ in requests(first)] == [B]
    assert faults(second) == [B]
    assert requests(second) == []

    third = machine.step(gossip.Tick(), now=at(10 + ANSWER_MS_MAX + SHUN_MS))
    assert [peer for peer, _ in requests(third)] == [A]


def test_a_peer_that_lowers_its_tip_does_not_hold_the_catch_up():
    # CVE-2025-24371.
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(1_000_000)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(5)), now=at(11))

    effects = machine.step(gossip.TipReceived(A, tip(0)), now=at(12))

    assert faults(effects) == [A]
    assert requests(effects) == [(B, BlocksRequest(Height(1), 5))]
    assert machine.tips[A].height == 0


def test_two_heads_at_one_height_are_a_fault():
    machine = linked(A)
    machine.step(gossip.TipReceived(A, tip(0, mark=1)), now=at(10))

    assert faults(machine.step(gossip.TipReceived(A, tip(0, mark=2)), now=at(11))) == [A]


def test_a_lost_link_ends_the_request():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(5)), now=at(10))

    effects = machine.step(gossip.Linked(A, False), now=at(11))

    assert [peer for peer, _ in requests(effects)] == [B]
    assert A not in machine.tips


def test_an_idle_member_sends_one_tip_every_few_seconds_to_one_peer_in_turn():
    machine = linked(A, B, C)
    receivers = []
    for _ in range(6):
        wake_at = machine.wake_at
        assert wake_at is not None
        effects = machine.step(gossip.Tick(), now=at(wake_at))
        receivers += [e.peer for e in effects if isinstance(e, gossip.Send)]
        # Not only its own: who made a transaction may have crashed and forgotten it.
        assert gossip.SendPending(receivers[-1], own_only=False) in effects

    assert receivers == [A, B, C, A, B, C]
    assert machine.wake_at == 7 * REPEAT_MS


def test_what_waits_is_repeated_in_the_same_rhythm_while_blocks_come():
    machine = linked(A, B)
    repeated = []
    for now_ms in range(500, 16_000, 500):
        effects = machine.step(gossip.Advanced(Height(now_ms // 500), HEAD, Height(1)), now=at(now_ms))
        effects += machine.step(gossip.Tick(), now=at(now_ms))
        repeated += [(now_ms, effect.peer) for effect in effects if isinstance(effect, gossip.SendPending)]

    assert repeated == [(REPEAT_MS, A), (2 * REPEAT_MS, B), (3 * REPEAT_MS, A)]


def transaction(org: OrgId = ME, nonce: int = 0, size: int = 0) -> Transaction:
    return Transaction(TransactionBody(HEAD, org, nonce, 0, "c", "m", bytes(size)), Signature(bytes(64)))


def sent(effects: list[gossip.Effect]) -> list[tuple[OrgId, list[int]]]:
    """To whom which nonces go."""
    return [
        (effect.peer, [decode(Transaction, form).body.nonce for form in effect.message.forms])
        for effect in effects
        if isinstance(effect, gossip.Send) and isinstance(effect.message, Transactions)
    ]


def test_in_a_small_network_the_origin_sends_to_all_and_nobody_forwards():
    machine = linked(A, B, C)

    own = machine.step(gossip.NewTransactions((transaction(),)), now=at(1))
    others = machine.step(gossip.NewTransactions((transaction(A),)), now=at(1_000))

    assert sent(own) == [(A, [0]), (B, [0]), (C, [0])]
    assert sent(others) == []


def test_a_transaction_leaves_a_quiet_network_at_once_and_a_busy_one_with_its_next():
    machine = linked(A)

    first = machine.step(gossip.NewTransactions((transaction(nonce=1),)), now=at(100))
    second = machine.step(gossip.NewTransactions((transaction(nonce=2),)), now=at(101))
    third = machine.step(gossip.NewTransactions((transaction(nonce=3),)), now=at(102))
    wake_at = machine.wake_at
    gathered = machine.step(gossip.Tick(), now=at(100 + GATHER_MS))

    assert sent(first) == [(A, [1])]
    assert sent(second) == sent(third) == []
    assert wake_at == 100 + GATHER_MS
    assert sent(gathered) == [(A, [2, 3])]


def test_a_message_carries_no_more_than_its_bounds():
    machine = linked(A)
    many = tuple(transaction(nonce=nonce) for nonce in range(BATCH_TRANSACTIONS_MAX + 1))
    large = tuple(transaction(nonce=nonce, size=BATCH_BYTES_MAX // 2) for nonce in range(3))

    by_count = machine.step(gossip.NewTransactions(many), now=at(100))
    by_bytes = machine.step(gossip.NewTransactions(large), now=at(200))

    assert [len(nonces) for _, nonces in sent(by_count)] == [BATCH_TRANSACTIONS_MAX, 1]
    assert [len(nonces) for _, nonces in sent(by_bytes)] == [1, 1, 1]


@pytest.mark.parametrize("members", [9, 10, 16, 31, 64, 100])
def test_in_a_large_network_a_transaction_reaches_every_member_once(members):
    orgs = [OrgId(f"p{index:03}") for index in range(members)]
    machines = {org: gossip.Gossip(org) for org in orgs}
    for org, machine in machines.items():
        for peer in orgs:
            if peer != org:
                machine.step(gossip.Linked(peer, True), now=at(0))
    given: list[OrgId] = []
    hops = [[orgs[3]]]

    while hops[-1]:
        news = gossip.NewTransactions((transaction(orgs[3]),))
        hops.append([peer for org in hops[-1] for peer, _ in sent(machines[org].step(news, now=at(1)))])
        given += hops[-1]

    assert sorted(given) == sorted(set(orgs) - {orgs[3]})
    assert len(hops) - 2 <= 3
    assert max(len(hop) for hop in hops[:2]) <= TREE_FANOUT


def test_missing_bodies_are_asked_of_the_proposer_and_then_of_others():
    machine = linked(A, B, C)
    ids = (Digest(b"\x01" * 32), Digest(b"\x02" * 32))

    at_once = machine.step(gossip.Wanted(ids, (B, A, C)), now=at(100))
    asked = [effect for _ in range(4) for effect in tick(machine)]
    machine.step(gossip.Wanted((), ()), now=at(4_000))

    # They may be under way, so nobody is asked before a moment is over.
    assert at_once == []
    assert asked == [gossip.Send(peer, BodiesRequest(ids)) for peer in (B, A, C, B)]
    assert machine.wake_at == REPEAT_MS


def test_what_is_still_missing_when_some_came_is_asked_for_no_sooner():
    machine = linked(A, B, C)
    ids = (Digest(b"\x01" * 32), Digest(b"\x02" * 32))
    machine.step(gossip.Wanted(ids, (B, A, C)), now=at(100))

    some_came = machine.step(gossip.Wanted(ids[1:], (B, A, C)), now=at(120))
    asked = tick(machine)

    assert some_came == []
    assert asked == [gossip.Send(B, BodiesRequest(ids[1:]))]


def test_bodies_are_not_asked_of_who_has_no_link():
    machine = linked(C)
    machine.step(gossip.Wanted((Digest(bytes(32)),), (B, A, C)), now=at(100))

    effects = tick(machine)

    assert [effect.peer for effect in effects] == [C]


def tick(machine: gossip.Gossip) -> list[gossip.Effect]:
    """What it does when it wants to be woken."""
    wake_at = machine.wake_at
    assert wake_at is not None
    return machine.step(gossip.Tick(), now=at(wake_at))


def test_blocks_in_a_quick_row_are_told_of_once_and_the_last_one_surely():
    machine = linked(A, B)

    first = tips(machine.step(gossip.Advanced(Height(1), HEAD), now=at(1_000)))
    second = tips(machine.step(gossip.Advanced(Height(2), HEAD), now=at(1_010)))
    third = tips(machine.step(gossip.Advanced(Height(3), HEAD), now=at(1_020)))
    wake_at = machine.wake_at
    late = tips(machine.step(gossip.Tick(), now=at(1_000 + TIP_INTERVAL_MS)))

    assert first == [(A, 1), (B, 1)]
    assert second == third == []
    assert wake_at == 1_000 + TIP_INTERVAL_MS
    assert late == [(A, 3), (B, 3)]


def test_the_next_row_is_asked_of_another_peer_while_the_last_is_applied_and_two_are_held_at_most():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(9)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(9)), now=at(10))

    first = machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), blocks(1, 3))), now=at(20))
    second = machine.step(gossip.BlocksReceived(B, BlocksResponse(Height(4), blocks(4, 3))), now=at(21))
    row = [machine.step(gossip.Advanced(Height(height), HEAD), now=at(30 + height)) for height in range(1, 7)]

    assert first == [
        gossip.Send(B, BlocksRequest(Height(4), 6)),
        gossip.Apply(A, blocks(1, 1)[0], followed=True),
    ]
    assert requests(second) == []
    applied = [effect for effects in row for effect in effects if isinstance(effect, gossip.Apply)]
    assert [(apply.peer, apply.certified.block.header.height, apply.followed) for apply in applied] == [
        (A, 2, True),
        (A, 3, True),
        (B, 4, True),
        (B, 5, True),
        (B, 6, False),
    ]
    assert [requests(effects) for effects in row] == [[], [], [(A, BlocksRequest(Height(7), 3))], [], [], []]


def test_after_a_false_block_everything_fetched_after_it_is_fetched_anew():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(9)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(9)), now=at(10))
    machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), blocks(1, 3))), now=at(20))
    machine.step(gossip.Advanced(Height(1), HEAD), now=at(21))

    effects = machine.step(gossip.BlockRefused(A, "false"), now=at(22))
    late = machine.step(gossip.BlocksReceived(B, BlocksResponse(Height(4), blocks(4, 3))), now=at(23))

    assert requests(effects) == [(B, BlocksRequest(Height(2), 8))]
    assert late == []


def test_time_spent_on_applying_is_not_held_against_the_peer_that_is_asked():
    machine = linked(A)
    machine.step(gossip.TipReceived(A, tip(9)), now=at(10))
    machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), blocks(1, 3))), now=at(20))

    machine.step(gossip.Advanced(Height(1), HEAD), now=at(ANSWER_MS_MAX))

    assert faults(machine.step(gossip.Tick(), now=at(ANSWER_MS_MAX + 100))) == []
    assert faults(machine.step(gossip.Tick(), now=at(2 * ANSWER_MS_MAX))) == [A]


def test_a_peer_that_has_pruned_what_is_asked_is_no_liar_and_another_is_asked():
    machine = linked(A, B)
    machine.step(gossip.TipReceived(A, tip(5)), now=at(10))
    machine.step(gossip.TipReceived(B, tip(5)), now=at(10))

    effects = machine.step(gossip.BlocksReceived(A, BlocksResponse(Height(1), ())), now=at(20))

    assert faults(effects) == []
    assert [peer for peer, _ in requests(effects)] == [B]


def test_only_who_keeps_the_next_block_is_asked_for_it():
    machine = linked(A, B)

    pruned = machine.step(gossip.TipReceived(A, Tip(Height(9), HEAD, base=Height(4))), now=at(10))
    whole = machine.step(gossip.TipReceived(B, Tip(Height(7), HEAD, base=Height(1))), now=at(11))
    machine.step(gossip.BlocksReceived(B, BlocksResponse(Height(1), blocks(1, 3))), now=at(12))

    assert requests(pruned) == []
    assert requests(whole) == [(B, BlocksRequest(Height(1), 7))]
    assert machine.step(gossip.TipReceived(A, Tip(Height(9), HEAD, base=Height(5))), now=at(13)) == []
