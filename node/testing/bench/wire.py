"""Bare gRPC between processes on loopback, with the mutual TLS that the members use and nothing else of theirs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc

from node.base.types import Digest, OrgId
from node.edge.storage.keys import TlsSecret
from node.edge.transport.credentials import (
    SERVER_OPTIONS,
    Identity,
    OwnKeys,
    ServerTrust,
    TlsKey,
    channel_credentials,
    channel_options,
)
from node.edge.transport.limits import PROTOCOL_VERSIONS

SERVICE = "lepton.Bare"


def identity(org: str, tls: TlsSecret) -> Identity:
    """Who the process is in the handshake; there is no chain here."""
    keys = OwnKeys([TlsKey(tls.key_pem, tls.certificate)])
    return Identity(OrgId(org), Digest(bytes(32)), b"", keys, PROTOCOL_VERSIONS)


async def serve(
    own: Identity, peers: list[bytes], handlers: Mapping[str, Any], *, port: int = 0
) -> tuple[grpc.aio.Server, int]:
    """Serve `handlers` to the holders of these certificates (DER); the started server and its port."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, dict(handlers)),))
    credentials = ServerTrust(own, lambda: None).credentials(peers)
    bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    return server, bound


def channel(own: Identity, peer_certificate: bytes, port: int) -> grpc.aio.Channel:
    """A connection of its own to the process on `port` that holds this certificate."""
    credentials, options = channel_credentials(own.keys.all[0], peer_certificate), channel_options(peer_certificate)
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options)


def unary(answer: Callable[[bytes], Awaitable[bytes]]) -> Any:
    """A handler of one request and one answer."""

    async def handle(request: bytes, context: Any) -> bytes:
        return await answer(request)

    return grpc.unary_unary_rpc_method_handler(handle)
