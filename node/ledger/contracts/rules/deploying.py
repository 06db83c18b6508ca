"""Deploying a contract and its upgrades. What is broken changes nothing, and the receipt says where it is broken."""

from node.base.codec import encode
from node.base.types import Digest, Height
from node.ledger.contracts import sharing
from node.ledger.contracts.contract import Context, Rejected
from node.ledger.contracts.rules import store
from node.ledger.contracts.rules.compiled import BrokenRules, compiling_cost, ready
from node.ledger.contracts.rules.types import Deploy, Planned, RuleSet, Schedule, Upgrade, Version, rules_digest

CONTRACTS_MAX = 64
"""Contracts of one organisation."""
PLANNED_MAX = 8
"""Versions of one contract that are in force or to come."""
VERSIONS_MAX = 10_000
AHEAD_MAX = 1_000_000
"""Blocks between an upgrade and the height from which it holds."""


def deploy(context: Context, call: Deploy) -> None:
    """The method `deploy`."""
    contract = f"{context.org}/{call.rules.name}"
    if store.schedule_of(context, contract) is not None:
        raise Rejected("already-deployed", "You have a contract of this name; upgrade it.")
    if sum(1 for _ in store.contracts(context, context.org)) >= CONTRACTS_MAX:
        raise Rejected("too-many-contracts", f"An organisation has at most {CONTRACTS_MAX} contracts; upgrade one.")
    if not call.rules.data:
        raise Rejected("bad-data", "A contract is for at least one data set of yours.")
    _add(context, contract, Schedule(0, ()), call.rules, context.next_height)


def upgrade(context: Context, call: Upgrade) -> None:
    """The method `upgrade`."""
    contract = f"{context.org}/{call.rules.name}"
    schedule = store.schedule_of(context, contract)
    if schedule is None:
        raise Rejected("unknown-contract", "You have no contract of this name; deploy it.")
    from_height = call.from_height or context.next_height
    if not context.next_height <= from_height <= context.height + AHEAD_MAX:
        reason = f"A version holds from a coming height on, at most {AHEAD_MAX} blocks ahead."
        raise Rejected("bad-height", reason)
    if from_height <= schedule.planned[-1].from_height:
        reason = (
            f"Version {schedule.versions} holds from height {schedule.planned[-1].from_height} on; name a later one."
        )
        raise Rejected("bad-height", reason)
    if schedule.versions >= VERSIONS_MAX:
        raise Rejected("too-many-versions", f"A contract has at most {VERSIONS_MAX} versions; deploy another one.")
    _add(context, contract, schedule, call.rules, from_height)


def _add(context: Context, contract: str, schedule: Schedule, rules: RuleSet, from_height: Height) -> None:
    digest = rules_digest(rules)
    _check(context, rules, digest)
    number = schedule.versions + 1
    # At this height, for other transactions of this block may still ask for a decision.
    still = schedule.since(context.height)
    if len(still) >= PLANNED_MAX:
        raise Rejected("too-many-planned", f"{PLANNED_MAX - 1} versions are to come already; wait for one of them.")
    for name in rules.data:
        _bind(context, f"{context.org}/{name}", rules.name)
    version = Version(context.org, number, rules, digest, from_height, context.time_ms, context.transaction)
    context.store(store.version_key(contract, number), version)
    planned = (*still, Planned(number, from_height, digest))
    context.store(store.schedule_key(contract), Schedule(number, planned))
    context.emit("deployed" if number == 1 else "upgraded", encode(planned[-1]))


def _check(context: Context, rules: RuleSet, digest: Digest) -> None:
    # Paid before it is compiled, for a broken text costs as much as a good one.
    context.frame.budget.spend(context.org, compiling_cost(rules))
    try:
        ready(digest, lambda: rules)
    except BrokenRules as broken:
        raise Rejected(broken.code, broken.reason) from broken
    for name in rules.data:
        if sharing.data_set(context.other(sharing.NAME), f"{context.org}/{name}") is None:
            raise Rejected("unknown-data", "A data set that the contract names is not registered; register it first.")


def _bind(context: Context, data: str, name: str) -> None:
    """The contract decides over the data set, unless another one does, or will."""
    bound = context.get(store.bound_key(data))
    if bound is not None and bound.decode() != name:
        other = f"{context.org}/{bound.decode()}"
        schedule = store.schedule_of(context, other)
        assert schedule is not None, "a data set is bound to a contract that exists"
        held = (store.version_of(context, other, one.number) for one in schedule.since(context.height))
        if any(version is not None and data.partition("/")[2] in version.rules.data for version in held):
            raise Rejected("bound-elsewhere", "Another contract of yours decides over this data set; upgrade that one.")
    context.put(store.bound_key(data), name.encode())
