"""The transfer machine: what is asked of whom, and what becomes of sources that break off, lie or leave."""

from hypothesis import given
from hypothesis import strategies as st

from node.base.types import Instant, OrgId
from node.core.transfer import (
    ASKS_PER_SOURCE_MAX,
    RUN_CHUNKS_MAX,
    Ask,
    Came,
    Drop,
    Ended,
    Finished,
    Source,
    Sources,
    Stop,
    Tick,
    Transfer,
)

ADA, BOB = Source(OrgId("ada")), Source(OrgId("bob"))


def at(ms: int) -> Instant:
    return Instant(ms, ms)


def asks(effects: list) -> list[Ask]:
    return [effect for effect in effects if isinstance(effect, Ask)]


def answer(machine: Transfer, ask: Ask, now: Instant, upto: int | None = None) -> list:
    for index in range(ask.start, ask.stop if upto is None else upto):
        machine.step(Came(ask.ask, index), now=now)
    return machine.step(Ended(ask.ask, "" if upto is None else "broke off"), now=now)


def test_all_sources_are_asked_at_once_and_whoever_is_done_gets_more() -> None:
    machine = Transfer(range(100))
    first = asks(machine.step(Sources((ADA, BOB)), now=at(0)))
    starts = range(0, 2 * ASKS_PER_SOURCE_MAX * RUN_CHUNKS_MAX, RUN_CHUNKS_MAX)
    assert [(ask.source, ask.start, ask.stop) for ask in first] == [
        (source, start, start + RUN_CHUNKS_MAX)
        for source, start in zip([ADA, BOB] * ASKS_PER_SOURCE_MAX, starts, strict=True)
    ]
    (more,) = asks(answer(machine, first[0], at(1)))
    assert (more.source, more.start, more.stop) == (ADA, starts.stop, starts.stop + RUN_CHUNKS_MAX)


def test_what_a_source_did_not_bring_goes_to_the_next_at_the_missing_chunk() -> None:
    machine = Transfer(range(RUN_CHUNKS_MAX))
    (ask,) = asks(machine.step(Sources((ADA,)), now=at(0)))
    machine.step(Sources((ADA, BOB)), now=at(1))
    first, second, third = asks(answer(machine, ask, at(2), upto=2))
    assert {first.source, second.source, third.source} == {BOB}
    assert (first.start, first.stop, second.start, second.stop) == (2, 5, 5, 7)
    assert (third.start, third.stop) == (7, RUN_CHUNKS_MAX)
    assert answer(machine, first, at(3)) == []
    assert answer(machine, third, at(4)) == []
    assert answer(machine, second, at(5)) == [Finished()]


def test_a_source_that_brings_nothing_rests_longer_each_time() -> None:
    machine, now, rests = Transfer(range(4)), 0, []
    (ask,) = asks(machine.step(Sources((ADA,)), now=at(now)))
    for _ in range(9):
        assert machine.step(Ended(ask.ask, "gone"), now=at(now)) == []
        wake = machine.wake_at
        assert wake is not None
        rests.append(wake - now)
        now = wake
        (ask,) = asks(machine.step(Tick(), now=at(now)))
    assert rests == [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]


def test_a_liar_is_dropped_with_all_that_was_asked_of_it() -> None:
    machine = Transfer(range(ASKS_PER_SOURCE_MAX * RUN_CHUNKS_MAX))
    first, *others = asks(machine.step(Sources((ADA,)), now=at(0)))
    machine.step(Came(first.ask, 0), now=at(1))
    assert machine.step(Ended(first.ask, "chunk 1 is another", is_lie=True), now=at(1)) == [
        Drop(ADA, "chunk 1 is another"),
        *(Stop(other.ask) for other in others),
    ]
    assert len(others) == ASKS_PER_SOURCE_MAX - 1
    effects = asks(machine.step(Sources((ADA, BOB)), now=at(2)))
    assert {ask.source for ask in effects} == {BOB}
    assert sorted((ask.start, ask.stop) for ask in effects) == [
        (max(1, start), start + RUN_CHUNKS_MAX)
        for start in range(0, ASKS_PER_SOURCE_MAX * RUN_CHUNKS_MAX, RUN_CHUNKS_MAX)
    ]


def test_a_carrier_that_spoils_an_answer_does_not_make_its_owner_a_liar() -> None:
    carried = Source(OrgId("ada"), OrgId("bob"))
    machine = Transfer(range(4))
    (ask,) = asks(machine.step(Sources((carried,)), now=at(0)))
    assert machine.step(Ended(ask.ask, "spoilt", is_lie=True), now=at(0)) == []
    (again,) = asks(machine.step(Sources((ADA,)), now=at(1)))
    assert again.source == ADA


def test_little_is_divided_among_all_sources() -> None:
    machine = Transfer(range(24))
    cid = Source(OrgId("cid"))
    first = asks(machine.step(Sources((ADA, BOB, cid)), now=at(0)))
    assert [(ask.source, ask.stop - ask.start) for ask in first[:3]] == [(ADA, 8), (BOB, 6), (cid, 4)]


def test_who_is_asked_now_is_told_in_order_directly_and_over_others() -> None:
    carried = Source(OrgId("ada"), OrgId("bob"))
    machine = Transfer(range(64))
    machine.step(Sources((carried, BOB, ADA)), now=at(0))
    assert machine.sources == (ADA, carried, BOB)


def test_a_source_that_leaves_is_stopped_and_its_chunks_are_asked_of_others() -> None:
    machine = Transfer(range(8))
    (ask,) = asks(machine.step(Sources((ADA,)), now=at(0)))
    stop, again = machine.step(Sources((BOB,)), now=at(1))
    assert stop == Stop(ask.ask)
    assert isinstance(again, Ask)
    assert machine.step(Came(ask.ask, 0), now=at(2)) == []
    assert answer(machine, again, at(3)) == [Finished()]


def test_nothing_missing_is_finished_at_once() -> None:
    assert Transfer([]).step(Sources(()), now=at(0)) == [Finished()]


@given(
    missing=st.sets(st.integers(0, 200)),
    turns=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 20)), max_size=60),
)
def test_every_chunk_comes_exactly_once_whatever_breaks_off(missing: set[int], turns: list[tuple[int, int]]) -> None:
    machine, came, now = Transfer(sorted(missing)), list[int](), 0
    under_way: dict[int, Ask] = {}
    sources = tuple(Source(OrgId(name)) for name in ("ada", "bob", "cid"))

    def take(effects: list) -> bool:
        under_way.update({ask.ask: ask for ask in asks(effects)})
        for source in sources:
            assert sum(ask.source == source for ask in under_way.values()) <= ASKS_PER_SOURCE_MAX
        return Finished() in effects

    finished = take(machine.step(Sources(sources), now=at(now)))
    turns = [*turns, *((0, 200) for _ in range(400))]
    for choice, count in turns:
        if finished:
            break
        now += 100
        if not under_way:
            finished = take(machine.step(Tick(), now=at(now)))
            continue
        ask = under_way.pop(sorted(under_way)[choice % len(under_way)])
        upto = min(ask.stop, ask.start + count)
        for index in range(ask.start, upto):
            came.append(index)
            take(machine.step(Came(ask.ask, index), now=at(now)))
        finished = take(machine.step(Ended(ask.ask, "" if upto == ask.stop else "broke off"), now=at(now)))
    assert finished
    assert sorted(came) == sorted(missing)
