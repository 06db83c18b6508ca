"""The key of one version of a data set, sealed to the one member that may have it (HPKE, RFC 9180).

An envelope says in the clear what it is for, so that a wrong one can be told by name; the same words are bound into
the seal, so that they cannot be changed. It travels from member to member; the ledger has its digest alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from node.base.codec import DecodeError, decode, encode
from node.base.crypto import SealError, digest, open_sealed_with_any, seal
from node.base.types.names import Digest, OrgId, PublicKey

KEY_BYTES = 32
VERSION_ID_BYTES = 16
DIGESTS_MAX = 4_096
"""Chunks of a version whose digests go along in the envelope; those of a larger one are asked for and held against
the root on the ledger."""
ENVELOPE_BYTES_MAX = 256 << 10


class EnvelopeRefused(ValueError):
    """An envelope that is not the one wanted, or does not open; the text says which."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a sealed key is for, and good for nothing else."""

    chain: Digest
    agreement: Digest | None
    data: str
    """`owner/name`."""
    version: int
    basis: Digest
    """The granted request's id, or that of the `authorize`."""
    recipient: OrgId


@dataclass(frozen=True, slots=True)
class VersionKey:
    """What opens a version's chunks, and what the place of each is bound to."""

    key: bytes
    """AES-256-GCM, 32 bytes."""
    id: bytes
    """The version's own name in its chunks, 16 bytes."""
    kind: str
    chunks: int
    """With the manifest, chunk 0."""
    digests: tuple[Digest, ...]
    """Of all sealed chunks in order; empty where there are more than `DIGESTS_MAX`."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A version's key on its way."""

    binding: Binding
    sealed: bytes


def seal_version_key(recipient_key: PublicKey, content: VersionKey, binding: Binding) -> Envelope:
    """Seal to the recipient's data key. Each call gives other bytes."""
    assert len(content.digests) in (0, content.chunks), "all digests or none"
    assert len(content.digests) <= DIGESTS_MAX, "digests beyond the maximum are fetched"
    return Envelope(binding, seal(recipient_key, encode(content), _info(binding)))


def open_version_key(data_keys: Iterable[bytes], envelope: Envelope, wanted: Binding) -> VersionKey:
    """The content, if the envelope is for what is wanted and opens with one of the data keys.

    Raises `EnvelopeRefused`.
    """
    _require_same(envelope.binding, wanted)
    try:
        content = decode(VersionKey, open_sealed_with_any(data_keys, envelope.sealed, _info(wanted)))
    except SealError as error:
        raise EnvelopeRefused(
            "the envelope opens with none of this member's data keys: it was changed, or sealed to another key"
        ) from error
    except DecodeError as error:
        raise EnvelopeRefused("what the envelope holds is no version's key: its owner sealed something else") from error
    fits = (
        len(content.key) == KEY_BYTES
        and len(content.id) == VERSION_ID_BYTES
        and content.chunks > 0
        and len(content.digests) in (0, content.chunks)
    )
    if not fits:
        raise EnvelopeRefused("what the envelope holds is no version's key: its owner sealed something else")
    return content


def read_envelope(data: bytes) -> Envelope:
    """A peer's bytes as an envelope. Raises `EnvelopeRefused`."""
    if len(data) > ENVELOPE_BYTES_MAX:
        raise EnvelopeRefused(f"an envelope has at most {ENVELOPE_BYTES_MAX} bytes, this one {len(data)}")
    try:
        return decode(Envelope, data)
    except DecodeError as error:
        raise EnvelopeRefused("these bytes are no envelope") from error


def envelope_digest(envelope: Envelope) -> Digest:
    """What the ledger has of it."""
    return Digest(digest("lepton/envelope", encode(envelope)))


def _info(binding: Binding) -> bytes:
    return b"lepton/envelope\x00" + encode(binding)


def _require_same(found: Binding, wanted: Binding) -> None:
    """Raises `EnvelopeRefused` with the first thing that differs."""
    if found == wanted:
        return
    told = (
        ("data set", found.data, wanted.data),
        ("version", str(found.version), str(wanted.version)),
        ("request", found.basis.hex(), wanted.basis.hex()),
        ("agreement", _agreement(found), _agreement(wanted)),
        ("recipient", found.recipient, wanted.recipient),
        ("network", found.chain.hex(), wanted.chain.hex()),
    )
    what, other, own = next(line for line in told if line[1] != line[2])
    raise EnvelopeRefused(f"the envelope was sealed for {what} {other}, not for {own}")


def _agreement(binding: Binding) -> str:
    return "none" if binding.agreement is None else binding.agreement.hex()
