"""Data sets at rest: what an organisation adds is encrypted before it is anywhere.

`sources` what can be added; `chunks` one encrypted chunk; `places` where chunks lie; `records` what is kept beside
them; `reading` a file in place; `vault` the whole. What the network learns of a data set is the ledger's matter.
"""

from node.edge.vault.errors import AlreadyKept, NotKept, SourceRefused, VaultError, VersionDamaged
from node.edge.vault.records import Version
from node.edge.vault.sources import Column, Source, open_source
from node.edge.vault.vault import Problem, Vault

__all__ = [
    "AlreadyKept",
    "Column",
    "NotKept",
    "Problem",
    "Source",
    "SourceRefused",
    "Vault",
    "VaultError",
    "Version",
    "VersionDamaged",
    "open_source",
]
