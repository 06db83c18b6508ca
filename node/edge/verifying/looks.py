"""What the verifying process is asked, what it answers, and which signatures checking a block will ask for.

Both ways frames: a length in four bytes, big-endian, then so many bytes. A look is answered by one frame for each block
that has good signatures, their marks one after another, and by an empty frame at its end.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from node.base.codec import DecodeError, decode
from node.base.crypto import signature_mark
from node.base.ports import Verifier
from node.base.types import (
    BlocksResponse,
    Certificate,
    CertifiedBlock,
    Digest,
    MemberSet,
    PeerMessage,
    VoteKind,
    vote_signing_bytes,
)

LENGTH: Final = struct.Struct(">I")
MARK_BYTES: Final = 32
_MESSAGE: Any = PeerMessage


@dataclass(frozen=True, slots=True)
class Look:
    """A peer's answer to a request for blocks, as it came, and whose keys are thought to have signed in it."""

    chain: Digest
    members: MemberSet
    message: bytes


def good_marks(look: Look, verify: Verifier) -> Iterator[bytes]:
    """Of each block that has some, the marks of its good signatures; nothing of bytes that are no blocks."""
    try:
        message = decode(_MESSAGE, look.message)
    except DecodeError:
        # The daemon finds it, too, and blames the peer.
        return
    if not isinstance(message, BlocksResponse):
        return
    known: set[bytes] = set()
    for certified in message.blocks:
        new = {
            mark: parts
            for parts in _signatures(look, certified)
            if len(parts[2]) == 64 and (mark := signature_mark(*parts)) not in known
        }
        known.update(new)
        good = [mark for mark, parts in new.items() if verify(*parts)]
        if good:
            yield b"".join(good)


def _signatures(look: Look, certified: CertifiedBlock) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(public key, message, signature), in the order in which checking the block asks for them."""
    yield from _votes(look, certified.certificate)
    if certified.block.last_certificate is not None:
        yield from _votes(look, certified.block.last_certificate)
    keys = look.members.keys
    for transaction in certified.block.transactions:
        key = keys.get(transaction.body.org)
        if key is not None:
            yield key, transaction.signed, transaction.signature


def _votes(look: Look, certificate: Certificate) -> Iterator[tuple[bytes, bytes, bytes]]:
    keys = look.members.keys
    signed = vote_signing_bytes(look.chain, VoteKind.COMMIT, certificate.height, certificate.round, certificate.block)
    for signature in certificate.signatures:
        key = keys.get(signature.org)
        if key is not None:
            yield key, signed, signature.signature


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """Raises `OSError` when the other side is gone."""
    stream.write(LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the end, also in the middle of one."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None
