"""Random membership calls, blocks and rotations, held against a model that knows only the rules' outcome."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers, lists, sampled_from

from node.base.types import Digest, MemberSet, OrgId, Transaction
from node.ledger.contracts.membership import (
    Admit,
    Join,
    Leave,
    Motion,
    Part,
    Present,
    Rekey,
    Remove,
    Revoke,
    State,
    Support,
    Suspend,
    motion_id,
    queue,
    standings,
)
from node.ledger.system import quorums
from node.testing.society import Society

NAMES = ("ada", "bob", "cid", "dot", "eli", "fay", "gus")
FOUNDERS = 3
org = sampled_from(NAMES)
kinds = sampled_from([Admit, Suspend, Remove, Revoke])


class Membership(RuleBasedStateMachine):
    """Every rule adds transactions to the next block or makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.society = Society(NAMES[:FOUNDERS])
        self.generation = dict.fromkeys(NAMES, 1)
        """The newest card that each organisation made."""
        self.waiting: list[Transaction] = []
        self.said: dict[tuple[OrgId, Digest], set[OrgId]] = {}
        """Who ever supported which motion about whom."""
        self.own: set[OrgId] = set()
        """Who asked for a change of its own: leave, ready, a newer card."""

    def ask(self, name: str, method: str, payload: object) -> None:
        members = self.society.members
        if name in members.keys:
            # The key in force signs, whichever card is newest.
            generations = range(1, self.generation[name] + 1)
            held = {self.society.node_signer(name, g).public_key: g for g in generations}
            self.society.node[OrgId(name)] = self.society.node_signer(name, held[members.keys[OrgId(name)]])
        else:
            self.society.node[OrgId(name)] = self.society.node_signer(name, self.generation[name])
        self.waiting.append(self.society.sign(name, method, payload))

    @rule(voters=lists(org, unique=True, max_size=7), subject=org, kind=kinds)
    def vote(self, voters: list[str], subject: str, kind: type) -> None:
        self.voted(voters, subject, kind)

    @rule(short=integers(min_value=0, max_value=1), subject=org, kind=kinds)
    def vote_of_the_members(self, short: int, subject: str, kind: type) -> None:
        """A quorum of the members in force, or one less, in a block of their own."""
        members = self.society.members
        self.voted(members.orgs[: members.quorum - short], subject, kind)
        self.block()

    def voted(self, voters: Sequence[str], subject: str, kind: type) -> None:
        if kind is Admit:
            motion: Motion = Admit(self.society.card(subject, self.generation[subject]))
        elif kind is Revoke:
            signer = self.society.node_signer(subject, self.generation[subject])
            motion = Revoke(OrgId(subject), signer.public_key)
        else:
            motion = kind(OrgId(subject))
        for name in voters:
            self.said.setdefault((OrgId(subject), motion_id(motion)), set()).add(OrgId(name))
            self.ask(name, "support", Support(motion))

    @rule(name=org)
    def leaves(self, name: str) -> None:
        self.own.add(OrgId(name))
        self.ask(name, "leave", Leave())

    @rule(name=org, back=integers(min_value=0, max_value=20))
    def is_ready(self, name: str, back: int) -> None:
        self.own.add(OrgId(name))
        self.ask(name, "ready", self.society.root(min(back, self.society.height)))

    @rule(name=org, by=org)
    def presents(self, name: str, by: str) -> None:
        self.own.add(OrgId(name))
        self.generation[name] = min(self.generation[name] + 1, 200)
        self.ask(by, "present", Present(self.society.card(name, self.generation[name]), None))

    @rule()
    def block(self) -> None:
        before = quorums(self.society.state).next
        known = {key for key, _ in queue(self.society.view)}
        due = [queued.change for _, queued in queue(self.society.view)]
        executed = self.society.extend(*self.waiting)
        self.waiting = []
        self.check_step(before, executed.next_members, due)
        self.check_quorums(before, [q.change for key, q in queue(self.society.view) if key not in known])

    @rule(count=integers(min_value=1, max_value=20))
    def empty_blocks(self, count: int) -> None:
        for _ in range(count):
            before = quorums(self.society.state).next
            due = [queued.change for _, queued in queue(self.society.view)]
            self.check_step(before, self.society.extend().next_members, due)

    def check_step(self, before: MemberSet, after: MemberSet, due: list[object]) -> None:
        """Two sets of consecutive heights differ by so few, and only as the queue said."""
        orgs = set(before.orgs) | set(after.orgs)
        changed = {name for name in orgs if before.keys.get(name) != after.keys.get(name)}
        most = max(1, (len(before.members) - 1) // 3)
        assert len(changed) <= most
        assert changed <= {change.org for change in due[:most]}  # type: ignore[attr-defined]

    def check_quorums(self, members: MemberSet, accepted: list[object]) -> None:
        """Nobody is put out of the set but by its own word or a quorum of the set in force."""
        for change in accepted:
            assert isinstance(change, Join | Part | Rekey)
            about = [names for (subject, _), names in self.said.items() if subject == change.org]
            decided = any(len(names & set(members.orgs)) >= members.quorum for names in about)
            suspended = isinstance(change, Part) and change.state is State.SUSPENDED
            assert decided or (change.org in self.own and not suspended)

    @invariant()
    def somebody_votes(self) -> None:
        assert self.society.members.orgs

    @invariant()
    def standings_say_who_votes(self) -> None:
        voting = {name for name, standing in standings(self.society.view) if standing.state is State.MEMBER}
        assert voting == set(self.society.members.orgs)

    @invariant()
    def the_queue_stays_small(self) -> None:
        assert len(queue(self.society.view)) <= 3 * len(NAMES)


TestMembership = Membership.TestCase
TestMembership.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
