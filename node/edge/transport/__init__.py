"""Messages and bulk between members over gRPC with mutual TLS; implements the port `Transport`.

`transport` puts it together; `server` judges every call; `dialler` keeps links up; `lane` holds the one stream per peer
and purpose; `control` and `bulk` are what runs on a `stream` as a `session`, in the bytes of `wire`. `credentials` are
both ends' TLS, `claims` what a caller says of itself, `versions` which protocol both speak. `limits` has every number,
`pace` and `allowance` hold peers and strangers to theirs; `join` is the port for strangers, `ports` finds free ones.
Operators learn from `report`, `readings` and `health`; `errors` end a link. What messages mean is not known here.
"""

from node.edge.transport.credentials import TlsKey
from node.edge.transport.health import LinkHealth, TransportHealth
from node.edge.transport.join import JoinRefused, JoinServer, show_card
from node.edge.transport.ports import free_port
from node.edge.transport.report import Refusal, RefusalKind, Traffic
from node.edge.transport.transport import GrpcTransport

__all__ = [
    "GrpcTransport",
    "JoinRefused",
    "JoinServer",
    "LinkHealth",
    "Refusal",
    "RefusalKind",
    "TlsKey",
    "Traffic",
    "TransportHealth",
    "free_port",
    "show_card",
]
