"""Contracts as targets: any payload through a method, as the ledger runs it, on a state that has something in it."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import (
    Digest,
    Height,
    Member,
    MemberSet,
    OrgId,
    Parameters,
    PublicKey,
    Signature,
    Transaction,
    TransactionBody,
)
from node.ledger.apply import run_transaction
from node.ledger.contracts import schemas
from node.ledger.contracts.access import ACCESS, Ask, Grant
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms
from node.ledger.contracts.contract import Budget, Frame
from node.ledger.contracts.registry import CONTRACTS
from node.ledger.contracts.replicas import Hold, Release, Replicate
from node.ledger.contracts.rules import Deploy, Otherwise, Outcome, RuleSet
from node.ledger.contracts.sharing import SHARING, Register
from node.ledger.contracts.training import Approve, JobTerms
from node.ledger.overlay import Overlay
from node.testing.contract_bench import CHAIN, ContractBench
from node.testing.fuzz.rules import known_rules
from node.testing.fuzz.values import Known, forms
from node.testing.signing import verify_hash
from node.testing.society import Society

ORGS = ("ada", "bob", "cid", "dot")
_TEXTS = ("", "a", "ada", "ada/x", "bob/x", "ä€😀", "x" * 200, "\0")
_FORMS = 12
"""Drawn payloads of each method."""


def build(name: str, folder: Path) -> tuple[list[bytes], Callable[[bytes], bool]]:
    """Inputs are a byte that chooses the method, one that chooses the caller, and the payload."""
    contract = CONTRACTS[name]
    bench, state, ids = _bench(name)
    methods = sorted(contract.methods)
    chance = random.Random(name)
    known = _known(bench, ids)
    corpus = [
        bytes((index, chance.randrange(len(ORGS)))) + form
        for index, method in enumerate(methods)
        for form in forms(contract.methods[method].payload, known, chance, _FORMS)
    ]
    if name == "replicas":
        # Chance finds no data set with a version of it.
        corpus += [bytes((methods.index("hold"), index)) + encode(Hold("ada/x", 1)) for index in range(len(ORGS))]
        corpus.append(bytes((methods.index("release"), 0)) + encode(Release("ada/x", 1, OrgId("bob"))))
    frame = Frame(
        chain=CHAIN,
        height=Height(50),
        time_ms=2_000_000,
        members=bench.members,
        next_members=bench.members,
        parameters=Parameters(),
        verify=verify_hash,
    )

    def feed(data: bytes) -> bool:
        if len(data) < 2:
            return False
        body = TransactionBody(
            CHAIN, OrgId(ORGS[data[1] % len(ORGS)]), 1, 1 << 40, name, methods[data[0] % len(methods)], data[2:]
        )
        overlay = Overlay(state)
        receipt = run_transaction(
            overlay, CONTRACTS, replace(frame, budget=Budget()), Transaction(body, Signature(bytes(64)))
        )
        changes = overlay.changes()
        assert receipt.accepted or not changes, "a refused transaction changes nothing"
        assert len(receipt.reason) <= 1_000, "a receipt is small"
        encode(receipt)
        return receipt.accepted

    return corpus, feed


def _bench(name: str) -> tuple[ContractBench, StateReader, list[Digest]]:
    """The contract's state after some honest use, and ids that mean something in it."""
    if name in ("membership", "evidence"):
        society = Society(list(ORGS))
        society.join("eve")
        bench = ContractBench(CONTRACTS[name], ORGS)
        bench.members = society.members
        return bench, society.state, [Digest(bytes(32))]
    bench = ContractBench(CONTRACTS[name], ORGS)
    if name in ("replicas", "rules", "sharing"):
        for org in ORGS:
            for data in ("x", "y"):
                bench.call(org, "register", Register(data, Digest(bytes(32))), contract=CONTRACTS["sharing"])
    if name == "replicas":
        for org in ORGS[1:]:
            bench.call("ada", "replicate", Replicate("ada/x", 1, OrgId(org)))
    if name == "rules":
        allowed = Otherwise(Outcome.ALLOW, "")
        for org in ORGS:
            bench.call(org, "deploy", Deploy(RuleSet("a", ("x",), (), (), allowed)))
    jobs = [Digest(bytes(32))]
    if name in ("agreements", "access"):
        return bench, bench.state, [*jobs, *_requested(bench)]
    if name == "training":
        for number in range(3):
            job, _ = bench.call("ada", "propose", JobTerms(f"job{number}", tuple(map(OrgId, ORGS)), 2, 1, b"{}"))
            for org in ORGS[: 4 if number else 2]:
                bench.call(org, "approve", Approve(job, Digest(bytes(32)), 10))
            jobs.append(job)
    return bench, bench.state, jobs


def _requested(bench: ContractBench) -> list[Digest]:
    """An agreement of two, requests under it and without it, granted and not; returns all their ids."""
    parties = (OrgId("ada"), OrgId("bob"))
    bench.call("ada", "register", Register("x", Digest(bytes(32))), contract=SHARING)
    terms = Terms("t", parties, ("ada/x",), ("a",), (Operation.TRAIN,), 1 << 40, "")
    agreement, _ = bench.call("ada", "draft", terms, contract=AGREEMENTS)
    bench.call("bob", "sign", Sign(agreement), contract=AGREEMENTS)
    ids = [agreement]
    for org, under in (("bob", agreement), ("cid", None), ("dot", None)):
        request, _ = bench.call(org, "request", Ask("ada/x", "a", Operation.TRAIN, under, ""), contract=ACCESS)
        ids.append(request)
    bench.call("ada", "grant", Grant(ids[1]), contract=ACCESS)
    bench.call("ada", "grant", Grant(ids[2]), contract=ACCESS)
    return ids


def _known(bench: ContractBench, ids: list[Digest]) -> Known:
    orgs = tuple(OrgId(org) for org in (*ORGS, "eve", "fay"))
    return {
        OrgId: lambda chance: chance.choice(orgs),
        Digest: lambda chance: chance.choice(ids),
        PublicKey: lambda chance: PublicKey(chance.randbytes(32)),
        Signature: lambda chance: Signature(chance.randbytes(64)),
        Height: lambda chance: Height(chance.choice((0, 1, 2, 49, 50, 2**62))),
        Member: lambda chance: Member(chance.choice(orgs), PublicKey(bytes(32))),
        MemberSet: lambda chance: bench.members,
        **known_rules(),
        schemas.Register: lambda chance: schemas.Register(
            chance.choice(("a", "b", "B")), "", tuple(_column(chance) for _ in range(chance.randrange(1, 4)))
        ),
        str: lambda chance: chance.choice(_TEXTS),
    }


def _column(chance: random.Random) -> schemas.SchemaColumn:
    """Texts drawn one by one would hardly ever make a column that a schema takes."""
    name = chance.choice("abcdef")
    if chance.random() < 0.7:
        return schemas.SchemaColumn(name, "integer", "", "0", None, ("1", "2"), "", True, False)
    return schemas.SchemaColumn(
        name,
        chance.choice((*schemas.TYPES, "int")),
        chance.choice(("", "mg/dl", "\0")),
        chance.choice(("0", "-1.5", "1e9", None)),
        chance.choice(("9" * 40, "", None)),
        chance.choice(((), ("a", "b"), ("a", "a"))),
        chance.choice(("", "ä€😀", "x" * 600)),
        chance.random() < 0.5,
        chance.random() < 0.5,
    )
