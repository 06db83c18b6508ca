"""Any sequence of calls: nobody is ever served without a standing grant under an agreement in force and not expired.

What is right is worked out here anew from the calls that were accepted, not from the contract's records.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from node.base.crypto import digest
from node.base.types import Digest, OrgId
from node.ledger.contracts.access import (
    ACCESS,
    Ask,
    Cancel,
    Fetch,
    Grant,
    Refuse,
    Revoke,
    Seal,
    store,
    why_not_served,
    why_not_usable,
)
from node.ledger.contracts.agreements import AGREEMENTS, Operation, Sign, Terms, Withdraw
from node.ledger.contracts.contract import Contract, Rejected
from node.ledger.contracts.sharing import SHARING, Authorize, Register, Unauthorize
from node.testing.contract_bench import ContractBench

ORGS = [OrgId(name) for name in ("ada", "bob", "cid")]
DATA = ["ada/x", "bob/x"]
orgs, data_sets = st.sampled_from(ORGS), st.sampled_from(DATA)
operations = st.sampled_from([Operation.TRAIN, Operation.DOWNLOAD])


@dataclass
class Promise:
    """What the model knows of an agreement."""

    parties: set[OrgId]
    signed: set[OrgId]
    expires_ms: int
    withdrawn: bool = False


@dataclass
class Right:
    """What the model knows of a basis."""

    data: str
    recipient: OrgId
    operation: Operation | None
    agreement: Digest | None
    standing: bool


class AccessMachine(RuleBasedStateMachine):
    agreements = Bundle("agreements")
    bases = Bundle("bases")

    def __init__(self) -> None:
        super().__init__()
        self.bench = ContractBench(ACCESS, ORGS)
        for data in DATA:
            owner, name = data.split("/")
            self.bench.call(owner, "register", Register(name, Digest(digest("v"))), contract=SHARING)
        self.promises: dict[Digest, Promise] = {}
        self.rights: dict[Digest, Right] = {}
        self.fetched: dict[Digest, tuple[Digest, OrgId]] = {}

    def attempt(self, org: OrgId, method: str, payload: object, contract: Contract = ACCESS) -> Digest | None:
        """The transaction's id where it is accepted."""
        try:
            return self.bench.call(org, method, payload, contract=contract)[0]
        except Rejected:
            return None

    def stands(self, basis: Digest) -> bool:
        right = self.rights[basis]
        if right.agreement is None or not right.standing:
            return right.standing
        promise = self.promises[right.agreement]
        return promise.signed == promise.parties and not promise.withdrawn and self.bench.time_ms < promise.expires_ms

    @rule(target=agreements, drafter=orgs, parties=st.sets(orgs, min_size=2), term_ms=st.integers(1, 40_000))
    def draft(self, drafter, parties, term_ms):
        expires_ms = self.bench.time_ms + 1_000 + term_ms
        owned = tuple(data for data in DATA if OrgId(data.split("/")[0]) in parties)
        terms = Terms("t", tuple(sorted(parties)), owned, ("p",), (Operation.TRAIN,), expires_ms, "")
        id_ = self.attempt(drafter, "draft", terms, AGREEMENTS)
        if id_ is None:
            return multiple()
        self.promises[id_] = Promise(set(parties), {drafter}, expires_ms)
        return id_

    @rule(agreement=agreements, org=orgs)
    def sign(self, agreement, org):
        if self.attempt(org, "sign", Sign(agreement), AGREEMENTS):
            self.promises[agreement].signed.add(org)

    @rule(agreement=agreements)
    def all_sign(self, agreement):
        for org in ORGS:
            self.sign(agreement, org)

    @rule(agreement=agreements, org=orgs)
    def withdraw(self, agreement, org):
        if self.attempt(org, "withdraw", Withdraw(agreement, ""), AGREEMENTS):
            self.promises[agreement].withdrawn = True

    @rule(target=bases, org=orgs, data=data_sets, operation=operations, agreement=st.none() | agreements)
    def request(self, org, data, operation, agreement):
        id_ = self.attempt(org, "request", Ask(data, "p", operation, agreement, ""))
        if id_ is None:
            return multiple()
        self.rights[id_] = Right(data, org, operation, agreement, standing=False)
        return id_

    @rule(target=bases, owner=orgs, org=orgs, data=data_sets)
    def authorize(self, owner, org, data):
        id_ = self.attempt(owner, "authorize", Authorize(data, org), SHARING)
        if id_ is None:
            return multiple()
        self.rights[id_] = Right(data, org, None, None, standing=True)
        return id_

    @rule(owner=orgs, org=orgs, data=data_sets)
    def unauthorize(self, owner, org, data):
        if self.attempt(owner, "unauthorize", Unauthorize(data, org), SHARING):
            for right in self.rights.values():
                if right.operation is None and (right.data, right.recipient) == (data, org):
                    right.standing = False

    @rule(basis=bases, org=orgs)
    def grant(self, basis, org):
        if self.attempt(org, "grant", Grant(basis)):
            assert self.rights[basis].data.startswith(f"{org}/")
            self.rights[basis].standing = True

    @rule(basis=bases, org=orgs, call=st.sampled_from([Refuse, Revoke, Cancel]))
    def end(self, basis, org, call):
        payload = call(basis) if call is Cancel else call(basis, "")
        if self.attempt(org, call.__name__.lower(), payload):
            self.rights[basis].standing = False

    @rule(number=st.integers(0, 7), call=st.sampled_from([Revoke, Cancel]))
    def end_what_stands(self, number, call):
        """By whoever may, which chance alone comes to too seldom."""
        granted = [basis for basis, right in self.rights.items() if right.standing and right.operation is not None]
        if granted:
            basis = granted[number % len(granted)]
            right = self.rights[basis]
            self.end(basis, OrgId(right.data.split("/")[0]) if call is Revoke else right.recipient, call)

    @rule(basis=bases, org=orgs, version=st.integers(0, 2))
    def seal(self, basis, org, version):
        if self.attempt(org, "seal", Seal(basis, version, Digest(digest("e", bytes((version,)))))):
            assert self.stands(basis)
            assert self.rights[basis].data.startswith(f"{org}/")

    @rule(basis=bases, org=orgs, version=st.integers(0, 2))
    def fetch(self, basis, org, version):
        if id_ := self.attempt(org, "fetch", Fetch(basis, version)):
            assert self.stands(basis)
            assert self.rights[basis].recipient == org
            self.fetched[id_] = (basis, org)

    @rule(target=agreements, data=data_sets, org=orgs, term_ms=st.integers(5_000, 40_000))
    def whole_way(self, data, org, term_ms):
        """What chance alone comes to too seldom: agreed, asked, granted, fetched."""
        owner = OrgId(data.split("/")[0])
        if owner == org:
            return multiple()
        agreement = self.draft(owner, {owner, org}, term_ms)
        self.sign(agreement, org)
        basis = self.request(org, data, Operation.TRAIN, agreement)
        if basis in self.rights:
            self.grant(basis, owner)
            self.fetch(basis, org, 1)
        return agreement

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds):
        self.bench.time_ms += 1_000 * seconds

    @invariant()
    def served_only_who_may(self):
        for fetch, (basis, org) in self.fetched.items():
            for peer in ORGS:
                may = why_not_served(self.bench.state, fetch, peer, time_ms=self.bench.time_ms) is None
                assert may == (peer == org and self.stands(basis))

    @invariant()
    def used_only_as_allowed(self):
        for basis, right in self.rights.items():
            for operation in (Operation.TRAIN, Operation.DOWNLOAD):
                why = why_not_usable(
                    self.bench.state, basis, right.recipient, right.data, operation, time_ms=self.bench.time_ms
                )
                assert (why is None) == (self.stands(basis) and right.operation in (None, operation))

    @invariant()
    def nothing_is_due_for_a_request_that_its_owner_or_its_requester_ended(self):
        for owner in ORGS:
            for basis, version in store.due(self.bench.view, owner):
                assert version == 1
                right = self.rights[basis]
                assert right.data.startswith(f"{owner}/")
                # Of an authorisation that was withdrawn it stays: `sharing` knows nothing of what is due.
                assert right.standing or right.operation is None


TestAccess = AccessMachine.TestCase
TestAccess.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
