"""Who reports a contradiction, and when: one member after the other, until the ledger has it."""

from node.base.types import Height, Instant, OrgId, Statement, VoteKind, statement_of
from node.core.consensus.reports import AGAIN_MS, ATTEMPTS_MAX, STAGGER_MS, Reports
from node.testing.council import Forge


class Bench:
    """All members but the accused, each with its reports; `named` is what the ledger shows."""

    def __init__(self, members: int = 4, height: int = 1) -> None:
        self.forge = Forge(members)
        self.forge.height = Height(height)
        self.accused = self.forge.orgs[0]
        self.named: set[OrgId] = set()
        self.reports = {org: Reports(org, lambda org, height: org in self.named) for org in self.forge.orgs}

    def proof(self) -> tuple[Statement, Statement]:
        blocks = (self.forge.block(self.accused, mark=mark) for mark in (1, 2))
        first, second = (statement_of(self.forge.vote(self.accused, VoteKind.COMMIT, block)) for block in blocks)
        return first, second

    def add(self) -> None:
        for reports in self.reports.values():
            reports.add(*self.proof(), self.forge.members, Instant(0, 0))

    def due(self, mono_ms: int) -> list[OrgId]:
        return [org for org, reports in self.reports.items() if reports.take_due(Instant(mono_ms, 0))]


def test_members_take_turns_and_the_accused_has_none():
    bench = Bench(4, height=3)
    bench.add()

    turns = [bench.due(place * STAGGER_MS) for place in range(4)]

    assert turns == [["m001"], ["m002"], ["m003"], []]
    assert bench.reports[bench.accused].wake_at is None


def test_another_height_begins_with_another_member():
    firsts = set()
    for height in range(1, 7):
        bench = Bench(4, height)
        bench.add()
        firsts.update(bench.due(0))

    assert firsts == {"m001", "m002", "m003"}


def test_the_first_report_on_the_ledger_ends_the_others():
    bench = Bench(7)
    bench.add()
    assert len(bench.due(0)) == 1

    bench.named.add(bench.accused)

    assert bench.due(100 * STAGGER_MS) == []
    assert all(reports.wake_at is None for reports in bench.reports.values())
    bench.add()
    assert all(reports.wake_at is None for reports in bench.reports.values())


def test_a_report_that_is_lost_is_made_again_and_not_for_ever():
    bench = Bench(4)
    first = bench.forge.orgs[1]
    reports = bench.reports[first]
    reports.add(*bench.proof(), bench.forge.members, Instant(0, 0))
    made = 0
    for turn in range(20):
        made += len(reports.take_due(Instant(10 * STAGGER_MS + turn * AGAIN_MS, 0)))

    assert made == ATTEMPTS_MAX
    assert reports.wake_at is None


def test_one_proof_of_each_accused_waits():
    bench = Bench(4)
    for _ in range(100):
        bench.add()

    assert len(bench.reports[bench.forge.orgs[1]].take_due(Instant(10 * STAGGER_MS, 0))) == 1
