"""A request's decision by the owner's rules, in the block that brings the request."""

from node.base.types import Digest
from node.ledger.contracts import agreements, rules, sharing
from node.ledger.contracts.access import store
from node.ledger.contracts.access.types import Ask
from node.ledger.contracts.contract import Context
from node.ledger.contracts.rules import AgreementFacts, Counts, DataFacts, Decision, Facts


def ruling(context: Context, asked: Ask) -> Decision | None:
    """What the owner's rules say; None where it has none for this data set, so that a person decides.

    `asked` was checked already. Raises `Rejected` when the block has decided as much as it may.
    """
    facts = Facts(
        requester=context.org,
        purpose=asked.purpose,
        operation=asked.operation.name.lower(),
        data=_data(context, asked.data),
        agreement=None if asked.agreement is None else _agreement(context, asked.agreement),
        now_ms=context.time_ms,
        counts=_counts(context, asked.data),
    )
    return rules.decide(context.ledger, context.frame, asked.data, facts)


def _data(context: Context, data: str) -> DataFacts:
    known = sharing.data_set(context.other(sharing.NAME), data)
    assert known is not None, "asked for a data set that is registered"
    name, said = data.partition("/")[2], known.description
    if said is None:
        return DataFacts(name, known.owner, version=known.number)
    return DataFacts(name, known.owner, said.kind, said.label, said.purpose, said.schema or "", known.number)


def _agreement(context: Context, id_: Digest) -> AgreementFacts:
    found = agreements.agreement(context.other(agreements.NAME), id_)
    assert found is not None, "asked on an agreement that is on the ledger"
    terms = found.terms
    return AgreementFacts(
        id_,
        terms.title,
        terms.parties,
        terms.purposes,
        tuple(operation.name.lower() for operation in terms.operations),
        agreements.why_not_in_force(found, time_ms=context.time_ms) is None,
        terms.expires_ms,
    )


def _counts(context: Context, data: str) -> Counts:
    own, all_ = store.counts(context, data, context.org), store.counts(context, data)
    return Counts(own.grants, own.fetches, all_.grants, all_.fetches)
