"""Data sets from vault to vault: fetched under the ledger's word, kept for others in sealed copies, brought back.

`requests` what members ask each other; `serving` the answers; `library` what there is to serve; `sealing` keys sealed
to whom the ledger lets have them, `keys` those sealed to this member; `pulling` asks several at once; `fetching` one
data set on its way here; `copies` what is kept for others, and got back from them; `engine` the loop.
"""

from node.engine.transfer.copies import NoCopy
from node.engine.transfer.engine import Parts, TransferEngine, shown_goal
from node.engine.transfer.pulling import Goal
from node.engine.transfer.requests import is_transfer_request

__all__ = ["Goal", "NoCopy", "Parts", "TransferEngine", "is_transfer_request", "shown_goal"]
