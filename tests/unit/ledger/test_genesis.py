"""Which genesis can found a chain, and what it founds."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from node.base.types import (
    Card,
    Genesis,
    GenesisBody,
    Height,
    OrgId,
    Parameters,
    Signature,
    card_signing_bytes,
    chain_id,
    genesis_signing_bytes,
)
from node.ledger.apply import members_at_head
from node.ledger.contracts.contract import view
from node.ledger.contracts.membership import State, card_of, standing_of
from node.ledger.errors import InvalidGenesis
from node.ledger.genesis import genesis_members, genesis_writes, verify_genesis
from node.ledger.memory import MemoryState
from node.ledger.system import head, members_at, parameters
from node.testing.founding import GENESIS_TIME_MS, Founding
from node.testing.signing import verify_hash


def signed(founding: Founding, body: GenesisBody) -> Genesis:
    message = genesis_signing_bytes(body)
    return Genesis(
        body, tuple(Signature(founding.organisation_signers[card.body.org].sign(message)) for card in body.cards)
    )


def recarded(founding: Founding, index: int, **changes: object) -> GenesisBody:
    """The body with one card changed and signed again by its organisation."""
    cards = list(founding.body.cards)
    body = replace(cards[index].body, **changes)
    signer = founding.organisation_signers[cards[index].body.org]
    cards[index] = Card(body, Signature(signer.sign(card_signing_bytes(body))))
    return replace(founding.body, cards=tuple(cards))


def test_what_all_founders_signed_holds() -> None:
    founding = Founding()
    verify_genesis(founding.genesis, verify_hash)
    verify_genesis(Founding(("alone",)).genesis, verify_hash)


BROKEN: dict[str, Callable[[Founding], Genesis]] = {
    "name": lambda f: signed(f, replace(f.body, name="")),
    "time": lambda f: signed(f, replace(f.body, time_ms=-1)),
    "at least one member": lambda f: signed(f, replace(f.body, cards=())),
    "ascending": lambda f: signed(f, replace(f.body, cards=f.body.cards[::-1])),
    "ascending order of organisation, each once": lambda f: signed(f, replace(f.body, cards=f.body.cards[:1] * 2)),
    "TLS term": lambda f: signed(f, recarded(f, 1, tls_until_ms=f.body.time_ms)),
    "cards count up": lambda f: signed(f, recarded(f, 1, sequence=0)),
    "share one node key": lambda f: signed(f, recarded(f, 1, node_key=f.body.cards[0].body.node_key)),
    "share one tls certificate": lambda f: signed(
        f, recarded(f, 1, tls_certificate=f.body.cards[0].body.tls_certificate)
    ),
    "two purposes": lambda f: signed(f, recarded(f, 1, node_key=f.body.cards[1].body.organisation_key)),
    "larger": lambda f: signed(f, recarded(f, 1, tls_certificate=bytes(20_000))),
    "not signed with its organisation key": lambda f: signed(
        f, replace(f.body, cards=(replace(f.body.cards[0], signature=Signature(bytes(64))), *f.body.cards[1:]))
    ),
    "3 of 4": lambda f: replace(f.genesis, signatures=f.genesis.signatures[:3]),
    "signature of ada": lambda f: replace(f.genesis, signatures=f.genesis.signatures[::-1]),
    "signature of": lambda f: replace(f.genesis, body=replace(f.body, name="renamed")),
    "sense together": lambda f: signed(f, replace(f.body, parameters=Parameters(motion_ms=0))),
    "parameters": lambda f: signed(f, replace(f.body, parameters=Parameters(round_timeout_ms=0))),
    "make no sense": lambda f: signed(f, replace(f.body, parameters=Parameters(block_bytes_max=1 << 10))),
}


@pytest.mark.parametrize("words", BROKEN)
def test_each_rule_refuses_in_words(words: str) -> None:
    with pytest.raises(InvalidGenesis, match=words):
        verify_genesis(BROKEN[words](Founding()), verify_hash)


def test_the_founded_state() -> None:
    founding = Founding()
    state = MemoryState()
    state.apply(genesis_writes(founding.genesis))
    assert members_at_head(state) == founding.members == genesis_members(founding.genesis)
    assert (head(state).height, head(state).time_ms) == (0, GENESIS_TIME_MS)
    assert parameters(state) == founding.body.parameters
    membership = view(state, "membership")
    assert [card_of(membership, org) for org in founding.members.orgs] == list(founding.body.cards)
    standing = standing_of(membership, OrgId("ada"))
    assert standing is not None
    assert (standing.state, standing.since) == (State.MEMBER, 1)
    assert standing_of(membership, OrgId("eve")) is None
    assert members_at(state, Height(1)) == founding.members


def test_the_chains_name_follows_from_all_of_the_body() -> None:
    body = Founding().body
    names = {
        chain_id(body),
        chain_id(replace(body, name="other")),
        chain_id(replace(body, time_ms=body.time_ms + 1)),
        chain_id(replace(body, cards=body.cards[1:])),
        chain_id(replace(body, parameters=replace(body.parameters, heartbeat_ms=1))),
    }
    assert len(names) == 5
