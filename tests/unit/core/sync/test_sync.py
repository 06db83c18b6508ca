"""When a snapshot is wanted, from whom it is taken, and who cannot hold that up."""

import random

from node.base.types import FIRST_HEIGHT, Digest, Height, Instant, OrgId, Tip
from node.core.sync import (
    Ask,
    Discard,
    Effect,
    Failed,
    Fetch,
    Hold,
    Input,
    Install,
    Installed,
    Offer,
    Offered,
    Open,
    Opened,
    PeerFault,
    Standing,
    Stored,
    Sync,
    Tick,
)
from node.core.sync.machine import ABANDON_MS, OFFERS_MS_MAX, REST_MS, RETRY_MS

A, B, C = (OrgId(name) for name in "abc")
HEAD = Digest(bytes(32))
GOOD = Offer(Height(900), Digest(b"\x01" * 32))
OLDER = Offer(Height(800), Digest(b"\x02" * 32))
FAKE = Offer(Height(10**9), Digest(b"\x03" * 32))


class Story:
    """A machine at height 0 with a clock."""

    def __init__(self, height: int = 0, behind_max: int = 100, begun: Offer | None = None) -> None:
        self.machine = Sync(behind_max=behind_max, begun=begun)
        self.now_ms = 1_000
        self.height = height

    def give(self, *inputs: Input) -> list[Effect]:
        return [effect for item in inputs for effect in self.machine.step(item, now=Instant(self.now_ms, 0))]

    def stand(self, height: int | None = None, **tips: tuple[int, int]) -> list[Effect]:
        """Tips as name=(height, base)."""
        self.height = self.height if height is None else height
        said = {OrgId(org): Tip(Height(top), HEAD, Height(base)) for org, (top, base) in tips.items()}
        return self.give(Standing(Height(self.height), said))

    def later(self, ms: int) -> list[Effect]:
        self.now_ms += ms
        return self.give(Tick())


def opened(*missing: int) -> Story:
    """All three offer the good one; it is open, with these chunks missing."""
    story = Story()
    story.stand(a=(1_000, 1), b=(1_000, 1), c=(1_000, 1))
    story.give(Offered(A, (OLDER, GOOD)), Offered(B, (OLDER, GOOD)), Offered(C, (GOOD,)))
    story.give(Opened(A, missing))
    return story


def test_who_is_not_far_behind_takes_blocks():
    story = Story(height=950)
    assert story.stand(a=(1_000, 1), b=(1_050, 900)) == []
    assert story.machine.wake_at is None


def test_who_is_far_behind_asks_all_and_opens_the_highest_offer():
    story = Story()
    assert story.stand(a=(1_000, 1), b=(1_000, 1)) == [Hold(True), Ask(A), Ask(B)]
    assert story.give(Offered(A, (OLDER,))) == []
    assert story.give(Offered(B, (OLDER, GOOD))) == [Open(B, GOOD)]


def test_who_finds_no_blocks_takes_a_snapshot_however_near():
    story = Story(height=890)
    assert story.stand(a=(905, 895)) == [Hold(True), Ask(A)]
    assert story.give(Offered(A, (OLDER, GOOD))) == [Open(A, GOOD)]
    story = Story(height=890)
    assert story.stand(a=(905, 895), b=(892, 1)) == []


def test_a_snapshot_that_gains_little_is_not_worth_it_and_all_are_asked_again_later():
    story = Story(height=870)
    story.stand(a=(1_000, 1))
    assert story.give(Offered(A, (OLDER, GOOD))) == [Hold(False)]
    assert story.machine.wake_at == story.now_ms + RETRY_MS
    assert story.later(RETRY_MS) == [Hold(True), Ask(A)]


def test_who_does_not_answer_is_not_waited_for():
    story = Story()
    story.stand(a=(1_000, 1), b=(1_000, 1))
    assert story.give(Offered(A, (GOOD,))) == []
    assert story.machine.wake_at == story.now_ms + OFFERS_MS_MAX
    assert story.later(OFFERS_MS_MAX) == [Open(A, GOOD)]


def test_chunks_come_from_all_that_offer_it_two_of_each_at_a_time():
    story = Story()
    story.stand(a=(1_000, 1), b=(1_000, 1), c=(1_000, 1))
    story.give(Offered(A, (GOOD,)), Offered(B, (GOOD,)), Offered(C, (OLDER,)))

    effects = story.give(Opened(A, (0, 1, 2, 3, 4)))
    more = story.give(Stored(B, 1))

    assert effects == [Fetch(A, GOOD, 0), Fetch(B, GOOD, 1), Fetch(A, GOOD, 2), Fetch(B, GOOD, 3)]
    assert more == [Fetch(B, GOOD, 4)]


def test_when_all_is_there_it_is_installed_and_blocks_are_fetched_again():
    story = opened(7)
    assert story.give(Stored(A, 7)) == [Install(GOOD)]
    assert story.give(Stored(A, 7), Tick()) == []
    story.height = 900
    assert story.give(Installed(None)) == [Hold(False)]
    assert story.stand(height=900, a=(1_000, 1)) == []


def test_one_of_which_everything_is_on_disk_is_installed_at_once():
    story = Story()
    story.stand(a=(1_000, 1))
    story.give(Offered(A, (GOOD,)))
    assert story.give(Opened(A, ())) == [Install(GOOD)]


def test_a_false_chunk_names_its_sender_and_is_fetched_from_another():
    story = opened(0, 1)
    effects = story.give(Failed(A, "is not the part's", is_fault=True, index=0))
    assert effects == [PeerFault(A, "is not the part's"), Fetch(B, GOOD, 0)]
    assert story.give(Offered(A, (GOOD,)), Failed(B, "went away", is_fault=False, index=1)) == [Fetch(C, GOOD, 1)]


def test_a_broken_answer_is_no_fault_and_its_sender_is_asked_again_after_a_rest():
    story = Story()
    story.stand(a=(1_000, 1))
    story.give(Offered(A, (GOOD,)), Opened(A, (0, 1, 2)))
    assert story.give(Failed(A, "went away", is_fault=False, index=0)) == []
    assert story.give(Failed(A, "went away", is_fault=False, index=1)) == []
    assert story.machine.wake_at is not None
    assert story.machine.wake_at <= story.now_ms + REST_MS
    assert story.later(REST_MS) == [Ask(A)]
    assert story.give(Offered(A, (GOOD,))) == [Fetch(A, GOOD, 0), Fetch(A, GOOD, 1)]


def test_a_lying_offer_fails_when_it_is_opened_and_the_true_one_follows():
    story = Story()
    story.stand(a=(10**9, 1), b=(1_000, 1))
    assert story.give(Offered(A, (FAKE,)), Offered(B, (GOOD,))) == [Open(A, FAKE)]
    assert story.give(Failed(A, "its path holds nothing", is_fault=True)) == [
        PeerFault(A, "its path holds nothing"),
        Open(B, GOOD),
    ]
    # The liar is not heard again before this snapshot is over.
    story.give(Opened(B, (0,)))
    assert Ask(A) not in story.later(RETRY_MS)


def test_a_peer_that_lowers_its_tip_to_nothing_changes_nothing_for_the_others():
    # CVE-2025-24371: a peer that goes backwards must not hold the sync for ever.
    story = opened(0, 1, 2)
    assert story.stand(a=(5, 1), b=(1_000, 1), c=(1_000, 1)) == []
    assert story.give(Stored(A, 0), Stored(B, 1), Stored(C, 2)) == [Install(GOOD)]


def test_peers_that_vanish_and_come_back_go_on_where_it_broke_off():
    story = opened(0, 1, 2, 3)
    under_way = [(A, 0), (B, 1), (C, 2), (A, 3)]
    while under_way:
        peer, index = under_way.pop(0)
        effects = story.give(Failed(peer, "gone", is_fault=False, index=index))
        under_way += [(effect.peer, effect.index) for effect in effects if isinstance(effect, Fetch)]
    assert story.stand() == []
    story.now_ms += RETRY_MS
    assert story.stand(b=(1_000, 1)) == [Ask(B)]
    assert story.give(Offered(B, (GOOD,))) == [Fetch(B, GOOD, 0), Fetch(B, GOOD, 1)]


def test_a_snapshot_that_nobody_has_any_more_is_given_up_for_another():
    story = opened(0)
    story.give(Failed(A, "has it no more", is_fault=False, index=0))
    newer = Offer(Height(1_000), HEAD)
    effects: list[Effect] = []
    while story.now_ms < ABANDON_MS + 20_000 and not any(isinstance(effect, Discard) for effect in effects):
        effects = story.later(REST_MS)
        for ask in [effect for effect in effects if isinstance(effect, Ask)]:
            effects += story.give(Offered(ask.peer, (newer,)))
    assert Discard(GOOD) in effects
    story.later(RETRY_MS)
    assert story.give(*(Offered(peer, (newer,)) for peer in (A, B, C))) == [Open(A, newer)]


def test_blocks_that_were_faster_end_the_snapshot():
    story = opened(0, 1)
    assert story.stand(height=900, a=(1_000, 1)) == [Hold(False), Discard(GOOD)]


def test_one_that_was_begun_before_a_restart_is_gone_on_with_while_it_is_offered():
    story = Story(begun=OLDER)
    story.stand(a=(1_000, 1), b=(1_000, 1))
    assert story.give(Offered(A, (OLDER, GOOD)), Offered(B, (GOOD,))) == [Open(A, OLDER)]


def test_a_state_that_cannot_be_installed_is_fetched_anew():
    story = opened(0)
    story.give(Stored(A, 0))
    assert story.give(Installed("a chunk on disk is damaged")) == [Hold(False), Discard(GOOD)]
    assert story.later(RETRY_MS) == [Hold(True), Ask(A), Ask(B), Ask(C)]


def test_answers_that_nobody_waits_for_change_nothing():
    story = Story()
    noise = (
        Offered(A, (GOOD,)),
        Opened(A, (1,)),
        Stored(A, 0),
        Failed(B, "x", is_fault=False, index=3),
        Installed(None),
    )
    assert [effect for effect in story.give(*noise) if not isinstance(effect, Hold)] == []


def test_whatever_peers_do_the_machine_comes_to_its_end_and_never_wakes_for_nothing():
    for seed in range(300):
        rng = random.Random(seed)
        story = Story()
        tips = dict.fromkeys("abc", (1000, 1))
        waiting = story.stand(**tips)
        liar = rng.choice((A, B, C))
        stored: set[int] = set()
        for _ in range(2_000):
            if Install(GOOD) in waiting:
                break
            if waiting:
                effect = waiting.pop(rng.randrange(len(waiting)))
                waiting += _answer(story, rng, effect, liar, stored)
                continue
            wake_at = story.machine.wake_at
            assert wake_at is not None, seed
            waiting += story.later(max(1, wake_at - story.now_ms))
        assert Install(GOOD) in waiting, seed
        assert stored == set(range(10)), seed


def _answer(story: Story, rng: random.Random, effect: Effect, liar: OrgId, stored: set[int]) -> list[Effect]:
    peer = getattr(effect, "peer", None)
    if isinstance(effect, Hold | PeerFault | Discard):
        return []
    if rng.random() < 0.2:
        return story.give(Failed(peer, "gone", is_fault=False, index=getattr(effect, "index", None)))
    if isinstance(effect, Ask):
        return story.give(Offered(effect.peer, (FAKE, GOOD) if peer == liar else (GOOD,)))
    if isinstance(effect, Open):
        if effect.offer == FAKE:
            return story.give(Failed(effect.peer, "lies", is_fault=True))
        return story.give(Opened(effect.peer, tuple(sorted(set(range(10)) - stored))))
    assert isinstance(effect, Fetch)
    if peer == liar and rng.random() < 0.5:
        return story.give(Failed(effect.peer, "lies", is_fault=True, index=effect.index))
    stored.add(effect.index)
    return story.give(Stored(effect.peer, effect.index))


def test_the_base_of_a_whole_chain_is_one():
    assert Tip(Height(3), HEAD).base == FIRST_HEIGHT
