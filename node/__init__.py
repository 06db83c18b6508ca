"""Lepton: a peer-to-peer daemon with which organisations build AI together without a central server.

`node/README.md` is the design as built; `ls node/` shows the floors.
"""

__version__ = "0.1.0"
