"""Every contract that the chain runs, by name."""

from collections.abc import Mapping

from node.ledger.contracts.access import ACCESS
from node.ledger.contracts.agreements import AGREEMENTS
from node.ledger.contracts.contract import Contract
from node.ledger.contracts.evidence import EVIDENCE
from node.ledger.contracts.membership import MEMBERSHIP
from node.ledger.contracts.replicas import REPLICAS
from node.ledger.contracts.rules import RULES
from node.ledger.contracts.schemas import SCHEMAS
from node.ledger.contracts.sharing import SHARING
from node.ledger.contracts.training import TRAINING

CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for contract in (ACCESS, AGREEMENTS, EVIDENCE, MEMBERSHIP, REPLICAS, RULES, SCHEMAS, SHARING, TRAINING)
}
