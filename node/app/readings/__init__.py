"""What the operator can read of the ledger, one module for each topic.

`access`, `agreements`, `contracts`, `membership`, `schemas`, `sharing`. A reading is a plain function of the committed
state and the caller's arguments; what it returns is what the command prints with `--json`. New topics stand in
`READINGS`.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from node.api import OperatorRefusal
from node.app.readings.access import read_access
from node.app.readings.agreements import read_agreements
from node.app.readings.contracts import read_contract, read_contracts
from node.app.readings.membership import read_membership
from node.app.readings.schemas import read_schema, read_schemas
from node.app.readings.sharing import read_sharing
from node.base.ports import StateReader

Reading = Callable[..., Any]
"""Called as `reading(state, **arguments)`; raises `OperatorRefusal` for what is not there."""

READINGS: Mapping[str, Reading] = {
    "access": read_access,
    "agreements": read_agreements,
    "contract": read_contract,
    "contracts": read_contracts,
    "membership": read_membership,
    "schema": read_schema,
    "schemas": read_schemas,
    "sharing": read_sharing,
}


def read(topic: str, state: StateReader, arguments: Mapping[str, Any]) -> Any:
    """The reading of a topic. Raises `OperatorRefusal` where there is none, or where the arguments are not its own."""
    reading = READINGS.get(topic)
    if reading is None:
        raise OperatorRefusal(f"this daemon has no reading {topic!r}; it has {', '.join(sorted(READINGS))}")
    try:
        inspect.signature(reading).bind(state, **arguments)
    except TypeError as error:
        raise OperatorRefusal(f"the reading {topic!r} does not take these arguments: {error}") from error
    return reading(state, **arguments)
