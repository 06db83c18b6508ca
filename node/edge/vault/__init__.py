"""Data sets at rest: what an organisation adds is encrypted before it is anywhere.

`sources` what can be added; `chunks` one encrypted chunk; `places` where chunks lie, `notes` what was begun there,
`direct` past the system's cache; `records` what is kept beside the chunks; `reading` a file in place; `vault` the
whole; `arrivals` what is under way between vaults, and copies kept for others. `errors` what can go wrong. What the
network learns of a data set is the ledger's matter.
"""

from node.edge.vault.arrivals import Arrival, Arrivals, Copies, Copy, Envelopes
from node.edge.vault.chunks import chunk_digest, chunks_root, sealed_bytes_max
from node.edge.vault.direct import ReadMemory
from node.edge.vault.errors import AlreadyKept, Busy, NotKept, SourceRefused, VaultError, VersionDamaged
from node.edge.vault.notes import Strays
from node.edge.vault.places import ChunkPlace
from node.edge.vault.records import Received, Version
from node.edge.vault.sources import Column, Source, open_source
from node.edge.vault.vault import Problem, Vault

__all__ = [
    "AlreadyKept",
    "Arrival",
    "Arrivals",
    "Busy",
    "ChunkPlace",
    "Column",
    "Copies",
    "Copy",
    "Envelopes",
    "NotKept",
    "Problem",
    "ReadMemory",
    "Received",
    "Source",
    "SourceRefused",
    "Strays",
    "Vault",
    "VaultError",
    "Version",
    "VersionDamaged",
    "chunk_digest",
    "chunks_root",
    "open_source",
    "sealed_bytes_max",
]
