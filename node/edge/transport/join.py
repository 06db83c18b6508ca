"""The join call: a port where strangers may hand in a signed card, and nothing else.

The server shows this member's TLS certificate and asks for none. The caller trusts one certificate, that in the card
of a member which it was handed. What a card means, and what becomes of it, is judged by `receive`.
"""

import ipaddress
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import grpc

from node._proto import join_pb2, join_pb2_grpc
from node.base.ports import LinkError
from node.edge.transport.allowance import Allowance, Rate
from node.edge.transport.credentials import TlsKey, channel_options, to_pem

CARD_BYTES_MAX = 20 << 10
CALLS_AT_ONCE_MAX = 16
CALL_TIMEOUT_S = 20.0
CONNECTION_AGE_MS = 60_000
ADDRESSES_MAX = 4_096
EACH = Rate(at_once=5, every_s=60.0)
"""Cards from one address."""
ALL = Rate(at_once=60, every_s=1.0)
"""Cards from everywhere."""

_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", CARD_BYTES_MAX),
    ("grpc.max_metadata_size", 8 << 10),
    ("grpc.max_concurrent_streams", 1),
    ("grpc.max_connection_idle_ms", CONNECTION_AGE_MS),
    ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
    ("grpc.max_connection_age_grace_ms", 1_000),
]


class JoinRefused(Exception):
    """The card is not taken; the text says why and goes to the caller."""


Receive = Callable[[bytes], str]
"""(card's bytes) -> what becomes of it, a sentence. Raises `JoinRefused`, `OSError`."""


class JoinServer(join_pb2_grpc.JoinServicer):
    """Listens for cards."""

    def __init__(self, receive: Receive, tls: Sequence[TlsKey], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`tls` are this member's keys, newest first: it shows the one that is in the card which the caller has."""
        self._receive = receive
        self._tls = tuple(tls)
        self._fresh: Any = None
        self._allowance = Allowance(EACH, ALL, clock, addresses_max=ADDRESSES_MAX)
        self._server: Any = None
        self.bound_port = 0

    async def start(self, listen: str) -> None:
        """Listen at `host:port`, port 0 for any free one. Raises `OSError`."""
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=CALLS_AT_ONCE_MAX)
        join_pb2_grpc.add_JoinServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        credentials = grpc.dynamic_ssl_server_credentials(
            self._configuration(), self._fetch, require_client_authentication=False
        )
        try:
            self.bound_port = server.add_secure_port(listen, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen at {listen}: choose another join_listen") from error
        await server.start()
        self._server = server

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop(None)

    async def Show(self, request: join_pb2.CardShown, context: Any) -> join_pb2.Received:  # noqa: D102
        if not self._allowance.take(caller_network(context.peer())):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many cards came from there: wait a minute")
        try:
            return join_pb2.Received(answer=self._receive(request.card))
        except JoinRefused as refusal:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(refusal))
        except OSError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the member's disk refused: ask its operator")
        raise AssertionError("abort raises")

    def renew(self, tls: Sequence[TlsKey]) -> None:
        """Take over this member's TLS keys, newest first."""
        self._tls = tuple(tls)
        self._fresh = self._configuration()

    def _configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration([(key.key_pem, to_pem(key.certificate)) for key in self._tls])

    def _fetch(self) -> Any:
        """Answers gRPC's core, on its thread: the new configuration once, None for no change."""
        fresh, self._fresh = self._fresh, None
        return fresh


def caller_network(peer: str) -> str:
    """Whom a limit counts: the IPv4 address, or the /64 network of an IPv6 one. `peer` is as gRPC names it."""
    kind, _, rest = peer.partition(":")
    host = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return kind
    return str(address) if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))


async def show_card(address: str, certificate: bytes, card: bytes) -> str:
    """Hand a card to the member at `address` that holds this certificate (DER); its answer. Raises `LinkError`."""
    credentials = grpc.ssl_channel_credentials(root_certificates=to_pem(certificate))
    async with grpc.aio.secure_channel(address, credentials, options=channel_options(certificate)) as channel:
        stub = join_pb2_grpc.JoinStub(channel)  # type: ignore[no-untyped-call]
        try:
            reply = await stub.Show(join_pb2.CardShown(card=card), timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise LinkError(f"{address} did not take the card: {error.details()}") from error
    return str(reply.answer)
