"""The guard: honest load never meets a limit, a flood is dropped and its sender cut off, for longer each time."""

from typing import get_args

from node.base.codec import encode
from node.base.types import Digest, Height, OrgId, PeerMessage, Tip, Transactions, Vote
from node.engine.guard import (
    CUT_FIRST_S,
    CUT_MAX_S,
    CUTS_FORGIVEN_MS,
    FAULT_SCORE,
    FORGIVEN_PER_S,
    LIMITS,
    PASSED_ON_SCORE,
    PEERS_MAX,
    SCORE_MAX,
    Cut,
    Guard,
    Verdict,
)

A, B = OrgId("a"), OrgId("b")
KINDS = get_args(PeerMessage)
TIP = encode(Tip(Height(1), Digest(bytes(32))), PeerMessage)


def message(kind: type, size: int = 200) -> bytes:
    return bytes((KINDS.index(kind),)).ljust(size, b"\0")


def send(guard: Guard, peer: OrgId, data: bytes, now_ms: int) -> Verdict:
    """As the loop asks."""
    return Verdict(True, None) if guard.admits(peer, data) else guard.judge(peer, data, now_ms)


def flood(guard: Guard, peer: OrgId, data: bytes, now_ms: int, count: int = 10_000) -> tuple[int, list[Cut]]:
    """How many were admitted, and the cuts that followed."""
    admitted, cuts = 0, []
    for _ in range(count):
        verdict = send(guard, peer, data, now_ms)
        admitted += verdict.admitted
        cuts += [] if verdict.cut is None else [verdict.cut]
    return admitted, cuts


def test_every_kind_has_a_limit_that_lets_its_longest_message_through():
    assert set(LIMITS) == set(KINDS)
    for kind, limit in LIMITS.items():
        longest = (128 << 10) if kind is Transactions else (2 << 20) if "Response" in kind.__name__ else 1 << 10
        assert 1 + longest // limit.bytes_each <= limit.at_once


def test_a_steady_rate_below_the_limit_is_admitted_for_ever():
    guard = Guard()
    for kind, limit in LIMITS.items():
        for second in range(20):
            for part in range(limit.per_s):
                assert send(guard, A, message(kind), second * 1000 + part * 1000 // limit.per_s).admitted
    assert guard.conduct(A) is None


def test_a_flood_is_dropped_after_its_allowance_and_its_sender_cut_off_once():
    guard, limit = Guard(), LIMITS[Vote]

    admitted, cuts = flood(guard, A, message(Vote), 1_000)

    assert admitted == limit.at_once
    assert [(cut.peer, cut.seconds) for cut in cuts] == [(A, CUT_FIRST_S)]
    assert "Vote" in cuts[0].reason
    conduct = guard.conduct(A)
    assert conduct is not None
    assert conduct.dropped == {"Vote": 10_000 - limit.at_once}
    assert conduct.cuts == 1


def test_a_flood_uses_up_no_other_kinds_and_no_other_peers_allowance():
    guard = Guard()
    flood(guard, A, message(Vote), 0, 3_000)

    assert send(guard, A, message(Transactions), 0).admitted
    assert flood(guard, B, message(Vote), 0, 100) == (100, [])


def test_a_long_message_takes_more():
    guard, limit = Guard(), LIMITS[Transactions]

    admitted, _ = flood(guard, A, message(Transactions, 64 << 10), 0, 1_000)

    assert admitted == limit.at_once // (1 + (64 << 10) // limit.bytes_each)


def test_what_names_no_kind_has_an_allowance_of_its_own():
    guard = Guard()

    admitted = flood(guard, A, b"", 0, 15)[0] + flood(guard, A, b"\xff garbage", 0, 15)[0]

    assert admitted == 20
    assert guard.conduct(A).dropped == {"unknown": 10}


def test_faults_in_a_row_cut_off_and_rare_ones_never():
    guard = Guard()
    cuts = [guard.fault(A, FAULT_SCORE, "lied", now_ms=0) for _ in range(int(SCORE_MAX))]
    rare = [guard.fault(B, FAULT_SCORE, "late", now_ms=int(at * 1000 / FORGIVEN_PER_S)) for at in range(1_000)]

    assert cuts[-1] == Cut(A, CUT_FIRST_S, "lied")
    assert not any(cuts[:-1])
    assert not any(rare)
    assert guard.conduct(B).faults == 1_000


def test_links_that_come_and_go_without_end_cut_off_and_a_bad_network_does_not():
    guard = Guard()
    quick = [guard.linked(A, now_ms=20 * at) for at in range(400)]
    slow = [guard.linked(B, now_ms=500 * at) for at in range(1_000)]

    assert sum(cut is not None for cut in quick) == 1
    assert not any(slow)
    assert guard.conduct(B) is None


def test_long_messages_beyond_their_allowance_weigh_more():
    _, cuts = flood(Guard(), A, message(Vote, 2 << 20), 0, 20)
    assert len(cuts) == 1


def test_a_bad_transaction_passed_on_weighs_less():
    guard = Guard()
    needed = int(SCORE_MAX / PASSED_ON_SCORE)

    assert not any(guard.fault(A, PASSED_ON_SCORE, "bad", now_ms=0) for _ in range(needed - 1))


def test_each_further_cut_is_longer_up_to_an_hour_and_what_comes_during_one_counts_once():
    guard, now_ms, seconds = Guard(), 0, []
    for _ in range(12):
        cuts = [cut for _ in range(500) if (cut := guard.fault(A, FAULT_SCORE, "lied", now_ms)) is not None]
        assert len(cuts) == 1
        seconds.append(cuts[0].seconds)
        now_ms += cuts[0].seconds * 1000

    assert seconds == [min(CUT_FIRST_S << at, CUT_MAX_S) for at in range(12)]
    later = now_ms + CUTS_FORGIVEN_MS + 1
    cuts = [guard.fault(A, FAULT_SCORE, "lied", later) for _ in range(int(SCORE_MAX))]
    assert cuts[-1].seconds == CUT_FIRST_S


def test_nothing_grows_with_the_number_of_peers_or_messages():
    guard = Guard()
    for number in range(PEERS_MAX + 10):
        send(guard, OrgId(f"m{number}"), TIP, 0)
        guard.fault(OrgId(f"m{number}"), FAULT_SCORE, "lied", 0)

    known = [number for number in range(PEERS_MAX + 10) if guard.conduct(OrgId(f"m{number}")) is not None]

    assert known == list(range(10, PEERS_MAX + 10))
