"""The readers of foreign bytes, each with a corpus of valid inputs and the one error that it may answer with.

A target's `feed` returns whether the bytes were accepted; what was accepted must have exactly these bytes as its form,
where the reader is of a canonical one. Anything that `feed` raises is a finding.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from node.base.codec import DecodeError, decode, encode
from node.base.types import (
    Block,
    Card,
    Certificate,
    CertifiedBlock,
    Digest,
    Envelope,
    Genesis,
    Height,
    OrgId,
    PeerMessage,
    PublicKey,
    Receipt,
    Signature,
    Transaction,
    VersionKey,
)
from node.edge.vault import Arrival
from node.engine.sync.requests import Offers, SyncRequest
from node.engine.training.requests import BulkRequest
from node.engine.transfer.requests import TransferRequest
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.light import TrustPath
from node.ledger.offline import Proof
from node.testing.fuzz import contracts, files, learning, links, rules, snapshots
from node.testing.fuzz.values import Known, forms

CORPUS = 40
"""Drawn values in a target's corpus."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A target ready to be fed."""

    corpus: list[bytes]
    feed: Callable[[bytes], bool]
    """Whether the bytes were accepted."""


@dataclass(frozen=True, slots=True)
class Target:
    """One reader."""

    name: str
    prepare: Callable[[Path], Prepared]
    """Given an empty folder of its own."""
    weight: int = 10
    """Its part of a run over all targets: readers that open files or execute get less."""
    memory_bytes: int = 1 << 20
    """What one input may take besides a multiple of its own size; a file is read into a buffer of the greatest size."""


ORGS = tuple(OrgId(org) for org in ("ada", "bob", "cid", "dot"))
KNOWN: Known = {
    OrgId: lambda chance: chance.choice(ORGS),
    Digest: lambda chance: Digest(chance.randbytes(32)),
    PublicKey: lambda chance: PublicKey(chance.randbytes(32)),
    Signature: lambda chance: Signature(chance.randbytes(64)),
    Height: lambda chance: Height(chance.choice((0, 1, 2, 2**62))),
}


def feed_codec(hint: Any, data: bytes) -> bool:
    """Decode; what decodes has these bytes as its only form."""
    try:
        value = decode(hint, data)
    except DecodeError:
        return False
    assert encode(value, hint) == data, f"another byte form of one {hint}: {data.hex()}"
    return True


def _codec(name: str, hint: Any, of: Any = None) -> Target:
    """`of` is the arm of the union `hint` that the corpus is drawn from."""

    def prepare(folder: Path) -> Prepared:
        chance = random.Random(name)
        drawn = forms(of or hint, KNOWN, chance, CORPUS)
        if of is not None:
            drawn = [bytes((get_args(hint).index(of),)) + form for form in drawn]
        return Prepared(drawn, partial(feed_codec, hint))

    return Target(name, prepare)


def _built(
    name: str, build: Callable[[Path], tuple[list[bytes], Callable[[bytes], bool]]], weight: int, memory_mb: int = 1
) -> Target:
    return Target(name, lambda folder: Prepared(*build(folder)), weight, memory_mb << 20)


def _all() -> list[Target]:
    message: Any = PeerMessage
    request: Any = BulkRequest
    transfer: Any = TransferRequest
    asked: Any = SyncRequest
    proof: Any = Proof
    found = [_codec(f"message-{kind.__name__}", message, kind) for kind in get_args(message)]
    found += [_codec(f"bulk-{kind.__name__}", request, kind) for kind in get_args(request)]
    found += [_codec(f"transfer-{kind.__name__}", transfer, kind) for kind in get_args(transfer)]
    found += [_codec(f"snapshot-{kind.__name__}", asked, kind) for kind in get_args(asked)]
    found.append(_codec("snapshot-Offers", Offers))
    found.append(_codec("arrival", Arrival))
    for kind in (
        Transaction,
        Block,
        Certificate,
        CertifiedBlock,
        Receipt,
        Card,
        Genesis,
        TrustPath,
        Envelope,
        VersionKey,
    ):
        found.append(_codec(kind.__name__.lower(), kind))
    found += [_codec(f"proof-{kind.__name__}", proof, kind) for kind in get_args(proof)]
    for contract in CONTRACTS.values():
        for method, declared in sorted(contract.methods.items()):
            found.append(_codec(f"payload-{contract.name}-{method}", declared.payload))
        found.append(_built(f"contract-{contract.name}", partial(contracts.build, contract.name), 4))
    found += [_built(f"file-{name}", build, 1, 64) for name, build in files.BUILDERS.items()]
    found += [_built(f"learning-{name}", build, 3, 16) for name, build in learning.BUILDERS.items()]
    found.append(_built("rule-source", rules.build, 3))
    found += [_built(f"snapshot-{name}", build, 3) for name, build in snapshots.BUILDERS.items()]
    found += [_built(f"link-{name}", build, 5) for name, build in links.BUILDERS.items()]
    return found


TARGETS: dict[str, Target] = {target.name: target for target in _all()}
