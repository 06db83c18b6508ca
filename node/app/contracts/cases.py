"""A file's own cases, decided by its rules: no daemon, no network, and the same code as on the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.app.contracts.rulesfile import AgreementPart, CasePart, RulesFile
from node.base.types import Digest, OrgId
from node.ledger.contracts.rules import AgreementFacts, Compiled, Counts, DataFacts, Decision, Facts

OWNER = OrgId("you")
"""Whose data a case speaks of: the file does not say."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What the rules said to one case."""

    case: CasePart
    decision: Decision

    @property
    def holds(self) -> bool:
        """Whether that is what the case expects."""
        expected = self.case.expect == self.decision.outcome.name.lower()
        return expected and self.case.line in (None, self.decision.line)


def run_cases(file: RulesFile, compiled: Compiled) -> Sequence[CaseResult]:
    """All cases, in the file's order."""
    contract = f"{OWNER}/{file.rules.name}"
    return [CaseResult(case, compiled.decide(_facts(file, case), contract, 1)) for case in file.cases]


def _facts(file: RulesFile, case: CasePart) -> Facts:
    data, counts = case.data, case.counts
    first = file.rules.data[0] if file.rules.data else ""
    return Facts(
        requester=OrgId(case.requester),
        purpose=case.purpose,
        operation=case.operation,
        data=DataFacts(data.name or first, OWNER, data.kind, data.label, data.purpose, data.schema_, data.version),
        agreement=None if case.agreement is None else _agreement(case.agreement),
        now_ms=case.now,
        counts=Counts(counts.granted, counts.fetched, counts.granted_all, counts.fetched_all),
    )


def _agreement(part: AgreementPart) -> AgreementFacts:
    return AgreementFacts(
        Digest(bytes.fromhex(part.id)),
        part.title,
        tuple(part.parties),
        tuple(part.purposes),
        tuple(part.operations),
        part.in_force,
        part.expires,
    )
