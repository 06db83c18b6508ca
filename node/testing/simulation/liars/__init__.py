"""Byzantine members: they hold valid keys and run the product's own replica, but say what their tactics make of it.

`kit` what a liar knows and can sign; `tactic` the shape of all tactics; `silence`, `voting`, `proposing`,
`justifying`, `syncing`, `noise` the tactics; `liar` puts them together. A liar's replica takes every message as
production does; only what leaves the member, and what is added to it, is a lie.
"""

from node.testing.simulation.liars.kit import Kit
from node.testing.simulation.liars.liar import TACTICS, Liar, draw_liar

__all__ = ["TACTICS", "Kit", "Liar", "draw_liar"]
