"""An organisation's own contract on its way to the ledger: the file that people write, and its example cases.

- `rulesfile`   the TOML file: what may stand in it, and what of it goes on the ledger
- `places`      where in the file something is wrong
- `cases`       the file's own cases, decided at once, without a network
- `templates`   files to begin with
"""

from node.app.contracts.cases import CaseResult, run_cases
from node.app.contracts.rulesfile import RulesFile, RulesFileError, Trouble, check_rules, read_rules
from node.app.contracts.templates import TEMPLATES, template_text

__all__ = [
    "TEMPLATES",
    "CaseResult",
    "RulesFile",
    "RulesFileError",
    "Trouble",
    "check_rules",
    "read_rules",
    "run_cases",
    "template_text",
]
