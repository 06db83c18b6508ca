"""What can go wrong between an operator and the daemon.

OperatorError
├── DaemonUnreachable   nobody listens on the member's socket
└── DaemonRefused       the daemon answered that it will not, and why
"""

from node.base.errors import ExplainedError


class OperatorError(ExplainedError):
    """A call to the daemon failed; the text says what to do."""


class DaemonUnreachable(OperatorError):
    """Nobody answers on the socket."""


class DaemonRefused(OperatorError):
    """The daemon's own refusal, in its words."""
