"""What the operator sees of the membership: who is what, which motions are open, which changes wait, who cheated."""

from typing import Any, assert_never

from node.app.moments import iso
from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import MemberSet
from node.edge.storage import readable_card
from node.ledger.contracts import evidence, membership
from node.ledger.contracts.contract import View, view
from node.ledger.contracts.evidence import Fault
from node.ledger.contracts.membership import (
    Admit,
    Adopt,
    Change,
    Join,
    Motion,
    OpenMotion,
    Part,
    Rekey,
    Remove,
    Replace,
    Revoke,
    Standing,
    Support,
    Suspend,
)
from node.ledger.system import head, quorums

NEVER = "-"


def read_membership(state: StateReader) -> dict[str, Any]:
    """What `lepton network members --json` and `lepton network motions --json` print, of one moment."""
    entries, members = view(state, membership.NAME), quorums(state).next
    now = head(state)
    return {
        "height": now.height,
        "quorum": members.quorum,
        "members": [
            _member(entries, members, org, standing, now.time_ms) for org, standing in membership.standings(entries)
        ],
        "motions": [_motion(id_.hex(), found, members, now.time_ms) for id_, found in membership.open_motions(entries)],
        "waiting": [
            {"change": _change(queued.change), "org": queued.change.org, "accepted": queued.accepted}
            for _, queued in membership.queue(entries)
        ],
        "faults": [_fault(fault) for fault in evidence.faults(view(state, evidence.NAME))],
    }


def _fault(fault: Fault) -> dict[str, Any]:
    said = fault.first
    return {
        "org": said.org,
        "signed_twice": said.kind.name.lower().replace("_", " "),
        "height": said.height,
        "round": said.round,
        "reporter": fault.reporter,
        "time": iso(fault.time_ms),
        "suspended": fault.suspends,
    }


def _member(entries: View, members: MemberSet, org: Any, standing: Standing, time_ms: int) -> dict[str, Any]:
    card = membership.card_of(entries, org)
    assert card is not None, "an organisation with a standing has a card"
    in_force = members.keys.get(org)
    return {
        **readable_card(card),
        "state": standing.state.name.lower(),
        "since": standing.since,
        "votes": in_force is not None,
        "node_key_in_force": None if in_force is None else in_force.hex(),
        "tls_until": iso(standing.tls_until_ms),
        "tls_over": standing.tls_until_ms < time_ms,
    }


def _motion(id_: str, found: OpenMotion, members: MemberSet, time_ms: int) -> dict[str, Any]:
    counted = [org for org in found.supporters if org in members.keys]
    return {
        "id": id_,
        "kind": type(found.motion).__name__.lower(),
        "org": _subject(found.motion),
        "about": _about(found.motion),
        "opener": found.opener,
        "supporters": list(found.supporters),
        "counted": len(counted),
        "needed": members.quorum,
        "until": iso(found.until_ms),
        "run_out": found.until_ms < time_ms,
        "support": encode(Support(found.motion)).hex(),
    }


def _subject(motion: Motion) -> str | None:
    match motion:
        case Admit(card) | Replace(card):
            return card.body.org
        case Suspend(org) | Remove(org) | Revoke(org, _):
            return org
        case Adopt():
            return None
        case _:
            assert_never(motion)


def _about(motion: Motion) -> dict[str, Any]:
    match motion:
        case Admit(card) | Replace(card):
            return {"card": readable_card(card)}
        case Revoke(_, key):
            return {"key": key.hex()}
        case Adopt(version, from_height):
            return {"cel_version": version, "from_height": from_height}
        case Suspend() | Remove():
            return {}
        case _:
            assert_never(motion)


def _change(change: Change) -> str:
    match change:
        case Join():
            return "joins"
        case Part(_, state):
            return state.name.lower()
        case Rekey():
            return "new node key"
        case _:
            assert_never(change)
