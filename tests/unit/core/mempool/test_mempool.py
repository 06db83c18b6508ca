"""The mempool: what it takes, refuses and gives up, and that nobody's flood crowds out others."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.base.types import NONCE_WINDOW, Instant, OrgId, Signature, Transaction
from node.core.mempool import (
    Admitted,
    Committed,
    Effect,
    Limits,
    Mempool,
    PeerFault,
    Received,
    Refused,
    Submitted,
    Tick,
)
from node.core.mempool.mempool import ALONE_MS, EARLY_MAX, GATHER_MS
from node.ledger.apply import check_transaction
from node.ledger.contracts.membership import Remove
from node.ledger.errors import Unacceptable
from node.testing.founding import GENESIS_TIME_MS, Founding, MemoryChain
from node.testing.signing import verify_hash
from node.testing.society import Society

NOW = Instant(mono_ms=50, wall_ms=GENESIS_TIME_MS)
BOB = OrgId("bob")
FOUNDING = Founding()


class CountingCheck:
    """The ledger's check on a chain's state; counts how often it was asked."""

    def __init__(self, chain: MemoryChain) -> None:
        self.asked = 0
        self._chain = chain

    def __call__(self, transaction: Transaction, time_ms: int) -> None:
        self.asked += 1
        founding = self._chain.founding
        check_transaction(self._chain.state, founding.chain, time_ms, founding.members, transaction, founding.verify)


def made(limits: Limits | None = None) -> tuple[Mempool, MemoryChain, CountingCheck]:
    chain = MemoryChain(FOUNDING)
    check = CountingCheck(chain)
    return Mempool(check=check, limits=limits), chain, check


def transaction(org: str, nonce: int, size: int = 10, **more: int) -> Transaction:
    return FOUNDING.transaction(org, nonce, "sharing", "register", bytes(size), **more)


def codes(effects: list[Effect]) -> list[str]:
    return [effect.code if isinstance(effect, Refused) else type(effect).__name__ for effect in effects]


def waiting(pool: Mempool, turn: int = 0) -> list[tuple[str, int]]:
    return [(entry.body.org, entry.body.nonce) for entry in pool.candidates(turn)]


def test_a_good_transaction_waits_and_is_found_by_id() -> None:
    pool, _, _ = made()
    good = transaction("ada", 3)
    assert pool.step(Submitted(good), now=NOW) == [Admitted(good)]
    assert pool.step(Received(BOB, transaction("bob", 1)), now=NOW) == [Admitted(transaction("bob", 1))]
    assert pool.get(good.id) == good
    assert len(pool) == 2


def test_a_duplicate_is_told_to_the_operator_and_not_held_against_a_peer() -> None:
    pool, _, check = made()
    good = transaction("ada", 3)
    pool.step(Submitted(good), now=NOW)
    assert codes(pool.step(Submitted(good), now=NOW)) == ["duplicate"]
    assert pool.step(Received(BOB, good), now=NOW) == []
    assert check.asked == 1
    assert len(pool) == 1


def test_a_waiting_transaction_is_known_by_its_bytes_and_not_by_its_id_alone() -> None:
    pool, _, _ = made()
    good = transaction("ada", 3)
    pool.step(Submitted(good), now=NOW)
    assert pool.holds(good.encoded)
    assert not pool.holds(replace(good, signature=Signature(bytes(64))).encoded)


def test_a_nonce_waits_once() -> None:
    pool, _, _ = made()
    pool.step(Submitted(transaction("ada", 3)), now=NOW)
    assert codes(pool.step(Submitted(transaction("ada", 3, size=11)), now=NOW)) == ["nonce-taken"]


def test_replays_and_expired_ones_are_refused_without_blame() -> None:
    pool, chain, _ = made()
    chain.extend(transaction("ada", 3))
    late = transaction("ada", 4, valid_until_ms=NOW.wall_ms - 1)
    assert codes(pool.step(Submitted(transaction("ada", 3)), now=NOW)) == ["replay"]
    assert codes(pool.step(Submitted(late), now=NOW)) == ["expired"]
    assert pool.step(Received(BOB, transaction("ada", 3)), now=NOW) == []
    assert pool.step(Received(BOB, late), now=NOW) == []
    assert len(pool) == 0


def test_what_no_member_should_pass_on_is_the_peers_fault() -> None:
    pool, _, _ = made()
    unsigned = replace(transaction("ada", 1), signature=Signature(bytes(64)))
    oversized = transaction("ada", 1, size=65 << 10)
    foreign = Founding(name="other").transaction("ada", 1, "sharing", "register")
    for bad in (unsigned, oversized, foreign):
        assert [type(effect) for effect in pool.step(Received(BOB, bad), now=NOW)] == [PeerFault]
    assert len(pool) == 0


def test_a_bad_signature_is_verified_once_and_does_not_speak_against_the_good_one() -> None:
    pool, _, check = made()
    good = transaction("ada", 1)
    bad = replace(good, signature=Signature(bytes(64)))
    assert bad.id == good.id
    for _ in range(3):
        assert codes(pool.step(Submitted(bad), now=NOW)) == ["bad-signature"]
    assert check.asked == 1
    assert pool.step(Submitted(good), now=NOW) == [Admitted(good)]


def test_a_block_may_bring_new_keys_so_bad_ones_are_then_checked_again() -> None:
    pool, _, check = made()
    bad = replace(transaction("ada", 1), signature=Signature(bytes(64)))
    for _ in range(2):
        pool.step(Submitted(bad), now=NOW)
        pool.step(Committed((), NOW.wall_ms), now=NOW)
    assert check.asked == 2


def test_candidates_take_turns_and_each_organisation_goes_by_nonce() -> None:
    pool, _, _ = made()
    for org, nonce in (("cid", 9), ("ada", 2), ("ada", 1), ("ada", 7), ("bob", 0), ("bob", 5)):
        pool.step(Submitted(transaction(org, nonce)), now=NOW)
    assert waiting(pool) == [("ada", 1), ("bob", 0), ("cid", 9), ("ada", 2), ("bob", 5), ("ada", 7)]
    assert waiting(pool, turn=1)[:3] == [("bob", 0), ("cid", 9), ("ada", 1)]
    assert sorted(waiting(pool, turn=2)) == sorted(waiting(pool))


def test_an_organisation_has_a_quota_by_count_and_by_bytes() -> None:
    pool, _, _ = made(Limits(organisation_transactions=2, organisation_bytes=3_000))
    for nonce in range(2):
        assert codes(pool.step(Submitted(transaction("ada", nonce)), now=NOW)) == ["Admitted"]
    assert codes(pool.step(Submitted(transaction("ada", 2)), now=NOW)) == ["too-many"]
    assert codes(pool.step(Submitted(transaction("bob", 0, size=2_000)), now=NOW)) == ["Admitted"]
    assert codes(pool.step(Submitted(transaction("bob", 1, size=2_000)), now=NOW)) == ["too-many"]


def test_when_the_whole_is_full_the_heaviest_gives_way() -> None:
    pool, _, _ = made(Limits(bytes=10_000))
    for nonce in range(4):
        pool.step(Submitted(transaction("ada", nonce, size=2_000)), now=NOW)
    newcomer = transaction("bob", 0, size=2_000)
    effects = pool.step(Received(BOB, newcomer), now=NOW)
    assert codes(effects) == ["mempool-full", "Admitted"]
    assert waiting(pool) == [("ada", 0), ("bob", 0), ("ada", 1), ("ada", 2)]
    assert codes(pool.step(Submitted(transaction("ada", 9, size=2_000)), now=NOW)) == ["mempool-full"]


def test_what_was_committed_leaves() -> None:
    pool, chain, _ = made()
    mine, same_nonce = transaction("ada", 1), transaction("ada", 1, size=11)
    pool.step(Submitted(mine), now=NOW)
    pool.step(Submitted(transaction("bob", 1)), now=NOW)
    assert pool.step(Committed((mine,), NOW.wall_ms), now=NOW) == []
    assert waiting(pool) == [("bob", 1)]

    pool.step(Submitted(mine), now=NOW)
    chain.extend(same_nonce)
    assert codes(pool.step(Committed((same_nonce,), NOW.wall_ms), now=NOW)) == ["replay"]
    assert waiting(pool) == [("bob", 1)]


def test_what_the_window_has_left_behind_leaves() -> None:
    pool, _, _ = made()
    for nonce in (0, 1, 2):
        pool.step(Submitted(transaction("ada", nonce)), now=NOW)
    effects = pool.step(Committed((transaction("ada", NONCE_WINDOW + 1),), NOW.wall_ms), now=NOW)
    assert codes(effects) == ["old-nonce", "old-nonce"]
    assert waiting(pool) == [("ada", 2)]


def test_what_expires_leaves_by_block_time_or_by_a_tick() -> None:
    pool, _, _ = made()
    assert pool.wake_at is None
    for nonce, until in ((0, 10), (1, 20), (2, 10_000)):
        pool.step(Submitted(transaction("ada", nonce, valid_until_ms=NOW.wall_ms + until)), now=NOW)
    due = pool.wake_at
    assert due is not None
    assert due > NOW.mono_ms
    assert codes(pool.step(Committed((), NOW.wall_ms + 11), now=NOW)) == ["expired"]
    assert pool.step(Tick(), now=Instant(due - 1, NOW.wall_ms + 5_000)) == []
    assert codes(pool.step(Tick(), now=Instant(due, NOW.wall_ms + 5_000))) == ["expired"]
    assert waiting(pool) == [("ada", 2)]
    assert pool.wake_at == due + (due - NOW.mono_ms)
    pool.step(Tick(), now=Instant(due * 3, NOW.wall_ms + 20_000))
    assert (len(pool), pool.wake_at) == (0, None)


class MempoolMachine(RuleBasedStateMachine):
    """Any history: bounds hold, and the ways of looking at what waits agree."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(organisation_transactions=4, organisation_bytes=2_000, bytes=3_000)
        self.used: set[tuple[str, int]] = set()
        self.pool = Mempool(check=self.check, limits=self.limits)
        self.now = NOW

    def check(self, transaction: Transaction, time_ms: int) -> None:
        if (transaction.body.org, transaction.body.nonce) in self.used:
            raise Unacceptable("replay", "used")
        if transaction.body.valid_until_ms < time_ms:
            raise Unacceptable("expired", "over")

    @rule(
        org=st.sampled_from(("ada", "bob", "cid")),
        nonce=st.integers(0, 7),
        size=st.sampled_from((10, 400, 900)),
        term=st.integers(-5, 40_000),
    )
    def submit(self, org: str, nonce: int, size: int, term: int) -> None:
        entry = transaction(org, nonce, size, valid_until_ms=self.now.wall_ms + term)
        known = self.pool.get(entry.id) is not None
        effects = self.pool.step(Submitted(entry), now=self.now)
        admitted = Admitted(entry) in effects
        assert (self.pool.get(entry.id) is not None) == (admitted or known)

    @rule(count=st.integers(0, 3))
    def commit(self, count: int) -> None:
        block = tuple(entry for entry, _ in zip(self.pool.candidates(), range(count), strict=False))
        self.used.update((entry.body.org, entry.body.nonce) for entry in block)
        self.pool.step(Committed(block, self.now.wall_ms), now=self.now)
        assert all(self.pool.get(entry.id) is None and not self.pool.holds(entry.encoded) for entry in block)

    @rule(ms=st.integers(0, 9_000))
    def wait(self, ms: int) -> None:
        self.now = Instant(self.now.mono_ms + ms, self.now.wall_ms + ms)
        self.pool.step(Tick(), now=self.now)

    @invariant()
    def bounded_and_consistent(self) -> None:
        entries = list(self.pool.candidates())
        assert len(entries) == len(self.pool) == len({(entry.body.org, entry.body.nonce) for entry in entries})
        assert all(self.pool.get(entry.id) == entry and self.pool.holds(entry.encoded) for entry in entries)
        assert sum(len(entry.encoded) for entry in entries) <= self.limits.bytes
        assert not self.used & {(entry.body.org, entry.body.nonce) for entry in entries}
        assert (self.pool.wake_at is None) == (not entries)


TestMempool = MempoolMachine.TestCase
TestMempool.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


class KeyCheck:
    """Takes what is signed with the key in force; knows the one before and the one to come."""

    def __init__(self) -> None:
        self.key = b"old"

    def __call__(self, transaction: Transaction, time_ms: int) -> None:
        if transaction.signature != self.key.ljust(64):
            raise Unacceptable("other-key", "It is signed with another key of its organisation.")


def signed(entry: Transaction, key: bytes) -> Transaction:
    return Transaction(entry.body, Signature(key.ljust(64)))


def test_own_transactions_that_wait_are_signed_anew_when_the_key_changes():
    check = KeyCheck()
    pool = Mempool(check=check, renew=lambda entry: signed(entry, b"new") if entry.body.org == "ada" else None)
    own, foreign = signed(transaction("ada", 0), b"old"), signed(transaction("bob", 0), b"old")
    pool.step(Submitted(own), now=NOW)
    pool.step(Received(BOB, foreign), now=NOW)

    check.key = b"new"
    effects = pool.step(Committed((), 0, frozenset({OrgId("ada"), BOB})), now=NOW)

    assert Admitted(signed(own, b"new")) in effects
    assert next(effect for effect in effects if isinstance(effect, Refused)).transaction == foreign.id
    assert list(pool.candidates()) == [signed(own, b"new")]
    assert pool.get(own.id) == signed(own, b"new")


def test_without_a_new_key_nothing_is_looked_at_again():
    check = KeyCheck()
    pool = Mempool(check=check)
    pool.step(Submitted(signed(transaction("ada", 0), b"old")), now=NOW)

    check.key = b"new"

    assert pool.step(Committed((transaction("bob", 9),), 0), now=NOW) == []
    assert len(pool) == 1


def test_what_is_signed_with_the_key_to_come_waits_for_it():
    check = KeyCheck()
    pool = Mempool(check=check)
    held, fresh = signed(transaction("bob", 0), b"old"), signed(transaction("bob", 1), b"new")
    pool.step(Received(BOB, held), now=NOW)

    # Bob is a block ahead: he signed both anew before this member knows of his new key.
    early = [pool.step(Received(BOB, entry), now=NOW) for entry in (fresh, signed(held, b"new"))]
    check.key = b"new"
    effects = pool.step(Committed((), 0, frozenset({BOB})), now=NOW)

    assert early == [[], []]
    assert codes(effects) == ["other-key", "Admitted", "Admitted"]
    assert sorted(waiting(pool)) == [("bob", 0), ("bob", 1)]
    assert pool.step(Committed((), 0), now=NOW) == []


def test_what_is_held_back_is_bounded():
    check = KeyCheck()
    pool = Mempool(check=check)
    for nonce in range(EARLY_MAX + 10):
        pool.step(Received(BOB, signed(transaction("bob", nonce), b"new")), now=NOW)

    check.key = b"new"
    effects = pool.step(Committed((), 0), now=NOW)

    assert codes(effects) == ["Admitted"] * EARLY_MAX


def test_after_an_empty_block_what_cannot_be_included_leaves():
    # A suspended member's last transactions asked for one empty block after the other, as fast as the members can.
    left: set[str] = set()

    def check(transaction: Transaction, wall_ms: int) -> None:
        if transaction.body.org in left:
            raise Unacceptable("not-a-member", "It was suspended.")

    pool = Mempool(check=check)
    for org in ("ada", "bob"):
        pool.step(Submitted(transaction(org, 1)), now=NOW)
    left.add("bob")

    used = pool.step(Committed((transaction("ada", 7),), NOW.wall_ms), now=NOW)
    assert codes(used) == []
    assert waiting(pool) == [("ada", 1), ("bob", 1)]
    effects = pool.step(Committed((), NOW.wall_ms), now=NOW)

    assert codes(effects) == ["not-a-member"]
    assert waiting(pool) == [("ada", 1)]


def test_what_a_removed_member_left_behind_leaves_with_its_right() -> None:
    society = Society(["ada", "bob", "cid", "dot"])

    def check(entry: Transaction, time_ms: int) -> None:
        check_transaction(society.state, society.founding.chain, time_ms, society.members, entry, verify_hash)

    pool = Mempool(check=check)
    for org in ("ada", "dot"):
        pool.step(Submitted(society.sign(org, "register", b"", contract="sharing")), now=NOW)
    society.pass_motion(Remove(OrgId("dot")))
    society.blocks(1)

    effects = pool.step(Committed((), society.time_ms, frozenset({OrgId("dot")})), now=NOW)

    assert codes(effects) == ["not-a-member"]
    assert [org for org, _ in waiting(pool)] == ["ada"]


def gathering(*awaited: str) -> tuple[Mempool, set[OrgId]]:
    """A pool in which `sharing.register` waits for its companions: whoever is in the set."""
    companions = {OrgId(org) for org in awaited}

    def companions_of(entry: Transaction) -> frozenset[OrgId] | None:
        return frozenset(companions) if entry.body.method == "register" else None

    return Mempool(check=CountingCheck(MemoryChain(FOUNDING)), companions=companions_of), companions


def at(after_ms: int) -> Instant:
    return Instant(NOW.mono_ms + after_ms, NOW.wall_ms + after_ms)


def test_what_waits_for_nobody_is_due_at_once() -> None:
    pool, _, _ = made()
    assert pool.due_at is None
    pool.step(Submitted(transaction("ada", 1)), now=NOW)
    assert pool.due_at == 0


def test_companions_wait_for_the_last_of_them_and_a_moment_for_company() -> None:
    pool, _ = gathering("ada", "bob")
    pool.step(Submitted(transaction("ada", 1)), now=NOW)
    assert pool.due_at == NOW.mono_ms + GATHER_MS
    pool.step(Received(BOB, transaction("bob", 1)), now=at(40))
    assert pool.due_at == NOW.mono_ms + 40 + ALONE_MS
    pool.step(Submitted(FOUNDING.transaction("ada", 2, "sharing", "share", b"")), now=at(41))
    assert pool.due_at == 0


def test_companions_wait_no_longer_than_the_first_of_them_may() -> None:
    pool, _ = gathering("ada", "bob")
    pool.step(Submitted(transaction("ada", 1)), now=NOW)
    pool.step(Submitted(transaction("ada", 2)), now=at(200))
    assert pool.due_at == NOW.mono_ms + GATHER_MS
    pool.step(Received(BOB, transaction("bob", 1)), now=at(GATHER_MS - 1))
    assert pool.due_at == NOW.mono_ms + GATHER_MS


def test_who_comes_when_its_companions_are_in_a_block_already_waits_like_a_first_one() -> None:
    pool, companions = gathering("ada", "bob")
    pool.step(Submitted(transaction("ada", 1)), now=NOW)
    pool.step(Received(BOB, transaction("bob", 1)), now=at(10))
    companions.clear()
    # The block took one of them and ended what they are about.
    pool.step(Committed((transaction("ada", 1),), NOW.wall_ms), now=at(20))
    assert pool.due_at == NOW.mono_ms + GATHER_MS
    pool.step(Committed((transaction("bob", 1),), NOW.wall_ms), now=at(30))
    assert pool.due_at is None


def test_a_block_may_leave_only_those_that_are_here() -> None:
    pool, companions = gathering("ada", "bob", "cyd")
    pool.step(Submitted(transaction("ada", 1)), now=NOW)
    companions.discard(OrgId("bob"))
    companions.discard(OrgId("cyd"))
    pool.step(Committed((), NOW.wall_ms), now=at(20))
    assert pool.due_at == NOW.mono_ms + 20 + ALONE_MS
