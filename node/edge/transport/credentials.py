"""TLS for both ends, from the certificates on the ledger.

A client trusts one certificate: that of the peer it dials. A server trusts all members' in the handshake, which does
not tell them apart; who a call comes from is judged by `server`, byte for byte.
"""

import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import grpc
from cryptography import x509

from node.base.types import Digest, OrgId
from node.edge.transport.limits import (
    CERTIFICATES_CACHED_MAX,
    CONNECTIONS_MAX,
    FRAME_BYTES_MAX,
    HANDSHAKE_TIMEOUT_MS,
    KEEPALIVE_INTERVAL_MS,
    KEEPALIVE_TIMEOUT_MS,
    STREAMS_PER_CONNECTION_MAX,
)
from node.edge.transport.versions import Versions

Options = list[tuple[str, int | str]]

_COMMON_OPTIONS: Options = [
    ("grpc.max_receive_message_length", FRAME_BYTES_MAX),
    ("grpc.max_send_message_length", FRAME_BYTES_MAX),
    # Both ends ask, so that a peer whose machine vanished is noticed without traffic.
    ("grpc.keepalive_time_ms", KEEPALIVE_INTERVAL_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]

CLIENT_OPTIONS: Options = [
    *_COMMON_OPTIONS,
    # Channels to one address share a connection otherwise, and votes would wait behind bulk.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy from the environment has no business between members.
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
]

SERVER_OPTIONS: Options = [
    *_COMMON_OPTIONS,
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
    ("grpc.max_metadata_size", 8 << 10),
    # Half the interval at which peers ping, or their keepalive would count as an attack.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_INTERVAL_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
]


@dataclass(frozen=True, slots=True)
class TlsKey:
    """A TLS key of ours."""

    key_pem: bytes
    """PKCS 8, P-256."""
    certificate: bytes
    """DER."""


class OwnKeys:
    """Our TLS keys; replaced while links are up, when one is renewed."""

    def __init__(self, keys: Sequence[TlsKey]) -> None:
        """At least one, newest first."""
        self.all = tuple(keys)

    def for_dialling(self, accepted: Sequence[bytes]) -> tuple[TlsKey, ...]:
        """All keys, first those whose certificates the ledger names (`accepted`, in its order).

        The others follow because a peer that was away for long knows us by an earlier one.
        """
        named = [key for certificate in accepted for key in self.all if key.certificate == certificate]
        return (*named, *(key for key in self.all if key not in named))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are on the wire."""

    org: OrgId
    chain: Digest
    instance: bytes
    """Random, new at every start."""
    keys: OwnKeys
    versions: Versions
    """Of the protocol, that we speak."""


def to_pem(der: bytes) -> bytes:
    """The certificate's text form."""
    return ssl.DER_cert_to_PEM_cert(der).encode()


def to_der(pem: bytes) -> bytes:
    """The certificate's bytes. Raises `ValueError`."""
    return ssl.PEM_cert_to_DER_cert(pem.decode())


@lru_cache(maxsize=CERTIFICATES_CACHED_MAX)
def certificate_name(der: bytes) -> str:
    """The one DNS name in a member's certificate, unique to its key. Raises `ValueError` for another certificate."""
    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ValueError(f"a certificate without a name: {error}") from error
    (name,) = names.value.get_values_for_type(x509.DNSName)
    return str(name)


def channel_credentials(own: TlsKey, peer_certificate: bytes) -> Any:
    """For a channel to the peer that holds this certificate (DER), and nobody else."""
    return grpc.ssl_channel_credentials(
        root_certificates=to_pem(peer_certificate),
        private_key=own.key_pem,
        certificate_chain=to_pem(own.certificate),
    )


def channel_options(peer_certificate: bytes) -> Options:
    """Asks the peer for exactly this certificate (DER): while it renews its key, it holds several.

    Raises `ValueError` for what is no member's certificate.
    """
    return [*CLIENT_OPTIONS, ("grpc.ssl_target_name_override", certificate_name(peer_certificate))]


class ServerTrust:
    """The members' certificates as roots of a running server, changed without a restart."""

    def __init__(self, identity: Identity, on_handshake: Callable[[], None]) -> None:
        """`on_handshake` is called for each new connection before its handshake, on a thread of gRPC's core."""
        self._identity = identity
        self._on_handshake = on_handshake
        self._fresh: Any = None

    def credentials(self, certificates: Iterable[bytes]) -> Any:
        """Server credentials that demand a client certificate under one of these (DER)."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(certificates), self._fetch, require_client_authentication=True
        )

    def replace(self, certificates: Iterable[bytes]) -> None:
        """From the next handshake on, accept these instead."""
        self._fresh = self._configuration(certificates)

    def _configuration(self, certificates: Iterable[bytes]) -> Any:
        # With several, gRPC's core shows the one whose name the dialler asks for, else the first.
        own = [(key.key_pem, to_pem(key.certificate)) for key in self._identity.keys.all]
        roots = b"".join(to_pem(certificate) for certificate in certificates)
        # With no root at all gRPC would fall back to the machine's; our own certificate opens nothing.
        return grpc.ssl_server_certificate_configuration(
            own, root_certificates=roots or to_pem(self._identity.keys.all[0].certificate)
        )

    def _fetch(self) -> Any:
        """Answers gRPC's core, on its thread: the new configuration once, None for no change."""
        self._on_handshake()
        fresh, self._fresh = self._fresh, None
        return fresh
