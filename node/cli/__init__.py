"""What a person touches: the command `lepton`.

`main` the top level, `lazily` how its commands are found, `common` what all share. At the top stand `member`, `doctor`,
`care`, `proof` and `audit`; the groups are `network` (with `membership` and `join`), `keys`, `chain` (with `backup`),
`job`, `data` (with `table`, `access` and `transfer`), `agreement`, `schema`, `contract` and `model`.
"""

from node.cli.main import main

__all__ = ["main"]
