"""Audits out of a database on disk: they say what happened, hold with the genesis alone, and hide nothing counted."""

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.app.auditfile import audit_in, audit_text, check_readable, readable_audit
from node.app.auditing import gather
from node.app.prooffile import ProofFileError, read_shown
from node.base.codec import decode, encode
from node.base.crypto import digest
from node.base.types import Digest, OrgId, Transaction
from node.cli.proof import show_verified
from node.edge.storage import SqliteReader
from node.edge.storage.sqlite import SqliteStore
from node.ledger.audit import Audit, Subject, claims, rows, verify_audit
from node.ledger.contracts.access import Ask, Fetch, Grant, Refuse, Revoke
from node.ledger.contracts.agreements import Operation, Sign, Terms, Withdraw
from node.ledger.contracts.membership import Leave
from node.ledger.contracts.rules import Deploy, Line, Otherwise, Outcome, RuleSet
from node.ledger.contracts.sharing import Authorize, Register, Unauthorize
from node.ledger.contracts.training import Approve, JobTerms, Used
from node.ledger.errors import Untrusted
from node.ledger.genesis import genesis_writes
from node.testing.founding import GENESIS_TIME_MS, Founding, MemoryChain
from node.testing.signing import verify_hash

ROWS, OTHER = Subject("ada/rows", ""), "bob/notes"
FIRST = Digest(digest("first"))
PARTIES = (OrgId("ada"), OrgId("bob"))


class Story:
    """Five members; ada's rows are authorised, agreed on, asked for, granted, fetched, refused and revoked."""

    def __init__(self) -> None:
        self.founding = Founding(("ada", "bob", "cid", "dot", "eve"))
        self.chain = MemoryChain(self.founding)
        self.outcomes: list[str] = []
        self.call("ada", "sharing", "register", Register("rows", FIRST))
        self.call("bob", "sharing", "register", Register("notes", FIRST))
        self.cid_may = self.call("ada", "sharing", "authorize", Authorize("ada/rows", OrgId("cid")))
        self.call("eve", "membership", "leave", Leave())
        operations = (Operation.TRAIN, Operation.DOWNLOAD)
        terms = Terms("Hearts", PARTIES, ("ada/rows", OTHER), ("research",), operations, 1 << 40, "")
        self.agreement = self.call("ada", "agreements", "draft", terms)
        self.call("bob", "agreements", "sign", Sign(self.agreement.id))
        self.ask = Ask("ada/rows", "research", Operation.DOWNLOAD, self.agreement.id, "for our paper")
        self.asked = self.call("bob", "access", "request", self.ask)
        self.call("ada", "access", "request", dataclasses.replace(self.ask, data=OTHER))
        self.call("cid", "access", "grant", Grant(self.asked.id))
        self.call("ada", "access", "grant", Grant(self.asked.id))
        self.fetched = self.call("bob", "access", "fetch", Fetch(self.asked.id, 1))
        refused = self.call("dot", "access", "request", Ask("ada/rows", "curiosity", Operation.COMPUTE, None, ""))
        self.call("ada", "access", "refuse", Refuse(refused.id, "not for this"))
        self.train()
        self.call("ada", "access", "revoke", Revoke(self.asked.id, "the study ended"))
        self.call("bob", "access", "fetch", Fetch(self.asked.id, 1))
        self.call("ada", "sharing", "unauthorize", Unauthorize("ada/rows", OrgId("cid")))

    def train(self) -> None:
        """bob brings ada's rows into a job; its grant is revoked before the first training round opens."""
        granted = self.call("bob", "access", "request", dataclasses.replace(self.ask, operation=Operation.TRAIN))
        self.call("ada", "access", "grant", Grant(granted.id))
        self.job = self.call("bob", "training", "propose", JobTerms("hearts", PARTIES, 2, 1, b"{}"))
        self.call("bob", "training", "approve", Approve(self.job.id, FIRST, 10, (Used("ada/rows", 1, granted.id),)))
        self.call("ada", "access", "revoke", Revoke(granted.id, "not for training"))
        self.call("ada", "training", "approve", Approve(self.job.id, FIRST, 10, (Used("ada/rows", 1, None),)))

    def call(self, org: str, contract: str, method: str, payload: Any) -> Transaction:
        """One transaction in a block of its own, signed by the members in force."""
        made = self.founding.transaction(org, self.chain.height, contract, method, payload)
        members = self.chain.position().members.orgs
        executed = self.chain.extend(made)
        header = executed.block.header
        certificate = self.founding.certificate(executed.block.digest, header.height, orgs=members)
        self.chain.certified[-1] = dataclasses.replace(self.chain.certified[-1], certificate=certificate)
        self.outcomes.append(f"{method} {executed.receipts[0].code}")
        return made

    async def write(self, path: Path) -> None:
        store = await SqliteStore.open(path, self.founding.chain, genesis_writes(self.founding.genesis))
        async with store:
            for certified, executed in zip(self.chain.certified, self.chain.executed, strict=True):
                await store.commit(certified, executed.receipts, executed.writes, durable=False)


class Beside(Story):
    """bob trains on two data sets of ada's in one job, the second by a rule, and ends the agreement on the first."""

    def __init__(self) -> None:
        self.founding = Founding(("ada", "bob"))
        self.chain = MemoryChain(self.founding)
        self.outcomes: list[str] = []
        self.call("ada", "sharing", "register", Register("rows", FIRST))
        self.call("ada", "sharing", "register", Register("scans", FIRST))
        to_all = RuleSet("open", ("scans",), (), (Line("true", Outcome.ALLOW, ""),), Otherwise(Outcome.REFUSE, ""))
        self.call("ada", "rules", "deploy", Deploy(to_all))
        terms = Terms("Hearts", PARTIES, ("ada/rows",), ("research",), (Operation.TRAIN,), 1 << 40, "")
        agreed = self.call("ada", "agreements", "draft", terms)
        self.call("bob", "agreements", "sign", Sign(agreed.id))
        ask = Ask("ada/rows", "research", Operation.TRAIN, agreed.id, "")
        rows_asked = self.call("bob", "access", "request", ask)
        self.call("ada", "access", "grant", Grant(rows_asked.id))
        scans = self.call("bob", "access", "request", dataclasses.replace(ask, data="ada/scans", agreement=None))
        job = self.call("bob", "training", "propose", JobTerms("hearts", PARTIES, 2, 1, b"{}"))
        used = (Used("ada/rows", 1, rows_asked.id), Used("ada/scans", 1, scans.id))
        self.call("bob", "training", "approve", Approve(job.id, FIRST, 10, used))
        self.call("bob", "agreements", "withdraw", Withdraw(agreed.id, "eve/rows"))


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture(scope="module")
def reader(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReader]:
    yield from reading(story, tmp_path_factory)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    for reader in reading(Beside(), tmp_path_factory):
        yield gather(reader, ROWS)


def reading(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteReader]:
    path = tmp_path_factory.mktemp("audit") / "ledger.sqlite"
    asyncio.run(story.write(path))
    opened = SqliteReader(path, frozen=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def audit(reader: SqliteReader) -> Audit:
    return gather(reader, ROWS)


def shown_calls(audit: Audit) -> list[str]:
    return [f"{row.org} {row.call} {row.code}" for row in rows(audit)]


def test_all_that_is_about_a_data_set_is_found_refusals_too_and_nothing_else(audit: Audit) -> None:
    assert shown_calls(audit) == [
        "ada sharing.register ok",
        "ada sharing.authorize ok",
        "ada agreements.draft ok",
        "bob agreements.sign ok",
        "bob access.request ok",
        "cid access.grant not-owner",
        "ada access.grant ok",
        "bob access.fetch ok",
        "dot access.request ok",
        "ada access.refuse ok",
        "bob access.request ok",
        "ada access.grant ok",
        "bob training.propose ok",
        "bob training.approve ok",
        "ada access.revoke ok",
        "ada training.approve ok",
        "ada access.revoke ok",
        "bob access.fetch revoked",
        "ada sharing.unauthorize ok",
    ]


def test_the_account_says_who_what_when_why_and_under_which_agreement(story: Story, audit: Audit) -> None:
    shown = readable_audit(audit)
    by_who = {use["recipient"]: use for use in shown["access"] if use["operation"] != "train"}
    bob = by_who["bob"]
    assert (bob["purpose"], bob["operation"], bob["words"]) == ("research", "download", "for our paper")
    assert bob["agreement"] == story.agreement.id.hex()
    assert (bob["outcome"], bob["at_head"]) == ("granted by ada", "revoked")
    assert [fetch["transaction"] for fetch in bob["fetched"]] == [story.fetched.id.hex()]
    assert bob["decided"]["height"] < bob["fetched"][0]["height"] < bob["ended"]["height"]
    assert (by_who["dot"]["outcome"], by_who["dot"]["at_head"]) == ("refused by ada", "refused")
    assert (by_who["cid"]["basis"], by_who["cid"]["at_head"]) == (story.cid_may.id.hex(), "withdrawn")
    refusals = [row for row in shown["transactions"] if not row["accepted"]]
    assert [(row["org"], row["code"], row["data"]) for row in refusals] == [
        ("cid", "not-owner", ["ada/rows"]),
        ("bob", "revoked", ["ada/rows"]),
    ]


def test_the_account_says_in_which_job_data_were_used_and_who_was_left_out(story: Story, audit: Audit) -> None:
    shown = readable_audit(audit)
    train = [
        (use["recipient"], use["at_head"], use["trained"]) for use in shown["access"] if use["operation"] == "train"
    ]
    assert [(who, now, [job["job"] for job in jobs]) for who, now, jobs in train] == [
        ("bob", "revoked", [story.job.id.hex()]),
        ("ada", "", [story.job.id.hex()]),
    ]
    (last,) = [row for row in shown["transactions"] if "left-out" in row["events"]]
    assert last["words"].startswith("left out: bob: ")


def test_it_holds_with_the_genesis_alone_over_a_change_of_members(story: Story, audit: Audit) -> None:
    assert len(audit.steps) == 1
    head = verify_audit(story.founding.genesis, audit, verify_hash)
    assert head.header.height == story.chain.height
    with pytest.raises(Untrusted):
        verify_audit(Founding(("ada", "bob"), name="other").genesis, audit, verify_hash)


def test_what_the_ledger_counts_is_shown_to_be_whole(
    story: Story, audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [(claim.what, claim.counted, claim.shown) for claim in claims(audit, rows(audit))] == [
        ("versions", 1, 1),
        ("grants", 2, 2),
        ("fetches", 1, 1),
    ]
    hidden = dataclasses.replace(
        audit, blocks=tuple(block for block in audit.blocks if block.entries[0].transaction.id != story.fetched.id)
    )
    verify_audit(story.founding.genesis, hidden, verify_hash)
    assert [claim.is_whole for claim in claims(hidden, rows(hidden))] == [True, True, False]
    show_verified(audit, as_json=False)
    assert "NOT whole" not in capsys.readouterr().out
    show_verified(hidden, as_json=False)
    told = capsys.readouterr().out
    assert "fetches: the ledger counts 1, 0 are here: the audit is NOT whole" in told
    assert "It is NOT whole: what it shows is true, but fetches that the ledger counts were left out of it." in told


def test_a_grant_of_another_data_set_that_explains_a_row_is_not_counted(beside: Audit) -> None:
    assert ["ada/scans"] in [list(row.data) for row in rows(beside) if "granted" in row.events]
    assert [(claim.what, claim.counted, claim.shown) for claim in claims(beside, rows(beside))] == [
        ("versions", 1, 1),
        ("grants", 1, 1),
        ("fetches", 0, 0),
    ]


def test_words_that_look_like_another_data_set_hide_nothing(beside: Audit) -> None:
    (last,) = [row for row in rows(beside) if row.call == "agreements.withdraw"]
    assert (last.accepted, last.words) == (True, "eve/rows")


def test_a_hidden_revocation_shows_in_how_the_request_stands(story: Story, audit: Audit) -> None:
    calls = [row.call for row in rows(audit)]
    at = len(calls) - 1 - calls[::-1].index("access.revoke")
    hidden = dataclasses.replace(audit, blocks=(*audit.blocks[:at], *audit.blocks[at + 1 :]))
    verify_audit(story.founding.genesis, hidden, verify_hash)
    (bob,) = [use for use in readable_audit(hidden)["access"] if use["operation"] == "download"]
    assert (bob["ended"], bob["at_head"]) == (None, "revoked")


def test_of_an_organisation_all_that_it_did_and_all_about_its_data(story: Story, reader: SqliteReader) -> None:
    found = gather(reader, Subject("", "bob"))
    verify_audit(story.founding.genesis, found, verify_hash)
    assert shown_calls(found) == [
        "bob sharing.register ok",
        "ada agreements.draft ok",
        "bob agreements.sign ok",
        "bob access.request ok",
        "ada access.request ok",
        "cid access.grant not-owner",
        "ada access.grant ok",
        "bob access.fetch ok",
        "bob access.request ok",
        "ada access.grant ok",
        "bob training.propose ok",
        "bob training.approve ok",
        "ada access.revoke ok",
        "ada training.approve ok",
        "ada access.revoke ok",
        "bob access.fetch revoked",
    ]
    assert claims(found, rows(found)) == []


def test_what_explains_an_attempt_is_there_though_it_is_about_others(story: Story, reader: SqliteReader) -> None:
    found = gather(reader, Subject("", "cid"))
    verify_audit(story.founding.genesis, found, verify_hash)
    assert shown_calls(found) == [
        "ada sharing.authorize ok",
        "bob access.request ok",
        "cid access.grant not-owner",
        "ada sharing.unauthorize ok",
    ]


def test_a_window_of_times_still_finds_by_ids_from_before_it(story: Story, reader: SqliteReader) -> None:
    height = next(row.height for row in rows(gather(reader, ROWS)) if row.call == "access.fetch")
    window = gather(
        reader, ROWS, from_ms=GENESIS_TIME_MS + 1_000 * height, until_ms=GENESIS_TIME_MS + 1_000 * (height + 1)
    )
    verify_audit(story.founding.genesis, window, verify_hash)
    assert shown_calls(window) == ["bob access.fetch ok"]
    assert claims(window, rows(window)) == []
    with pytest.raises(Untrusted, match="outside of the audit's times"):
        verify_audit(story.founding.genesis, dataclasses.replace(window, from_ms=window.from_ms + 1), verify_hash)


def mutations(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(where, a value that differs in one leaf)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for where, changed in mutations(getattr(value, field.name), f"{path}.{field.name}"):
                yield where, dataclasses.replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for where, changed in mutations(item, f"{path}[]"):
                yield where, (*value[:index], changed, *value[index + 1 :])
    elif isinstance(value, bool):
        yield path, not value
    elif isinstance(value, int):
        yield path, value + 1
    elif isinstance(value, bytes):
        yield path, bytes([value[0] ^ 1]) + value[1:] if value else b"\0"
    elif isinstance(value, str):
        yield path, value + "x"
    elif value is None:
        yield path, b"\0"


UNBOUND = {".from_ms", ".until_ms", ".base"}
"""The exporter's word: what a reader is told of it is that the audit may lack what lies outside."""


def test_every_changed_field_is_refused(story: Story, audit: Audit) -> None:
    few = dataclasses.replace(audit, blocks=audit.blocks[:5], standings=audit.standings[:3])
    verify_audit(story.founding.genesis, few, verify_hash)
    tried = 0
    for where, changed in mutations(few):
        if where in UNBOUND:
            continue
        tried += 1
        with pytest.raises((Untrusted, ValueError)):
            verify_audit(story.founding.genesis, decode(Audit, encode(changed)), verify_hash)
    assert tried > 200


def test_an_entry_twice_and_an_entry_of_something_else_are_refused(
    story: Story, reader: SqliteReader, audit: Audit
) -> None:
    twice = dataclasses.replace(audit.blocks[0], entries=audit.blocks[0].entries * 2)
    with pytest.raises(Untrusted, match="twice"):
        verify_audit(story.founding.genesis, dataclasses.replace(audit, blocks=(twice, *audit.blocks[1:])), verify_hash)
    other = gather(reader, Subject("", "bob"))
    with pytest.raises(Untrusted, match="not about its subject"):
        verify_audit(story.founding.genesis, dataclasses.replace(other, subject=ROWS), verify_hash)


def test_the_file_is_read_again_and_its_readable_part_is_held_against_its_bytes(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "audit.json"
    path.write_text(audit_text(audit))
    assert audit_in(path, read_shown(path)) == audit
    check_readable(path, read_shown(path), audit)
    path.write_text(audit_text(audit).replace("for our paper", "for our purse"))
    with pytest.raises(ProofFileError, match="do not trust this file"):
        check_readable(path, read_shown(path), audit_in(path, read_shown(path)))
    path.write_text(audit_text(audit)[:-300])
    with pytest.raises(ProofFileError, match="cut short"):
        read_shown(path)
