"""Height 0: which genesis can found a chain, and the state that it founds."""

from itertools import pairwise

from node.base import crypto
from node.base.codec import encode
from node.base.ports import Verifier, Writes
from node.base.types import (
    Genesis,
    Height,
    Member,
    MemberSet,
    Parameters,
    genesis_signing_bytes,
    is_cel_version,
)
from node.ledger.cards import TIME_MS_LIMIT, card_fault
from node.ledger.contracts import membership
from node.ledger.contracts.contract import WritableView
from node.ledger.errors import InvalidGenesis
from node.ledger.memory import MemoryState
from node.ledger.overlay import Overlay
from node.ledger.system import (
    HEAD_KEY,
    MEMBERS_KEY,
    PARAMETERS_KEY,
    Head,
    Quorums,
    set_key,
)
from node.ledger.tree import updated

NAME_CHARACTERS_MAX = 128
BLOCK_BYTES_LIMIT = 64 << 20


def verify_genesis(genesis: Genesis, verify: Verifier = crypto.verify) -> None:
    """Raises `InvalidGenesis` unless:

    - the name and the time are sane, and so are the parameters;
    - there is at least one card, in strictly ascending order of organisation, no key used twice;
    - each card may stand on a ledger (`card_fault`);
    - each card's organisation key signed the genesis, in the order of the cards.
    """
    body = genesis.body
    if not 0 < len(body.name) <= NAME_CHARACTERS_MAX:
        raise InvalidGenesis(f"the network's name has {len(body.name)} characters, not 1 to {NAME_CHARACTERS_MAX}")
    if not 0 <= body.time_ms < TIME_MS_LIMIT:
        raise InvalidGenesis(f"the genesis's time {body.time_ms} is out of range")
    _check_parameters(body.parameters)
    if not body.cards:
        raise InvalidGenesis("a network needs at least one member")
    if any(first.body.org >= second.body.org for first, second in pairwise(body.cards)):
        raise InvalidGenesis("the cards are not in ascending order of organisation, each once")
    for card in body.cards:
        if fault := card_fault(card, body.time_ms, verify):
            raise InvalidGenesis(fault[1])
    for kind in ("organisation_key", "node_key", "data_key", "tls_certificate"):
        if len({getattr(card.body, kind) for card in body.cards}) < len(body.cards):
            raise InvalidGenesis(f"two cards share one {kind.replace('_', ' ')}")
    if len(genesis.signatures) != len(body.cards):
        raise InvalidGenesis(f"{len(genesis.signatures)} of {len(body.cards)} founders signed the genesis")
    message = genesis_signing_bytes(body)
    for card, signature in zip(body.cards, genesis.signatures, strict=True):
        if not verify(card.body.organisation_key, message, signature):
            raise InvalidGenesis(f"the signature of {card.body.org} on the genesis does not hold")


def genesis_members(genesis: Genesis) -> MemberSet:
    """The founders: the set in force from height 1 on."""
    return MemberSet(tuple(Member(card.body.org, card.body.node_key) for card in genesis.body.cards))


def genesis_writes(genesis: Genesis) -> Writes:
    """The state at height 0, as writes to an empty one."""
    overlay = Overlay(MemoryState())
    members = genesis_members(genesis)
    overlay.put(HEAD_KEY, encode(Head(Height(0), genesis.body.time_ms)))
    overlay.put(MEMBERS_KEY, encode(Quorums(members, members)))
    overlay.put(PARAMETERS_KEY, encode(genesis.body.parameters))
    overlay.put(set_key(Height(1)), encode(members))
    for card in genesis.body.cards:
        membership.found_member(WritableView(overlay, membership.NAME), card)
    changes = overlay.changes()
    tree = updated(MemoryState(), changes)
    return Writes(tuple(changes), tree.pages, tree.crown)


def _check_parameters(parameters: Parameters) -> None:
    sane = (
        64 << 10 < parameters.block_bytes_max <= BLOCK_BYTES_LIMIT
        and 0 < parameters.organisation_transactions_max <= parameters.block_transactions_max
        and parameters.block_transactions_max <= 100_000
        and 0 < parameters.round_timeout_ms <= parameters.round_timeout_max_ms < 1 << 31
        and 0 < parameters.time_tolerance_ms < 1 << 31
        and 0 < parameters.heartbeat_ms < 1 << 40
        and 0 < parameters.motion_ms < 1 << 40
        and is_cel_version(parameters.cel_version)
    )
    if not sane:
        raise InvalidGenesis(f"the parameters make no sense together: {parameters}")
