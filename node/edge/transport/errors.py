"""What can go wrong on a link, besides what the port already names.

LinkError (node.base.ports)
├── NoCommonVersion the two programs are too far apart
├── PeerBroke       the peer sent what the protocol does not allow
├── PeerCut         the peer is cut off for a while
└── PeerTooSlow     the peer does not take what we must send
"""

from node.base.ports import LinkError


class NoCommonVersion(LinkError):
    """The two speak no version of the protocol in common; the text names both ranges."""


class PeerBroke(LinkError):
    """The peer's fault: it is cut off and the reason is logged under its name."""


class PeerCut(LinkError):
    """Whoever judges what the peer sends wants no link to it for now."""


class PeerTooSlow(LinkError):
    """More waits for the peer than it may hold up; the link is made anew."""
