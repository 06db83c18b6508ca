"""Bytes on a link, as targets: frames of the stream, and messages as a whole replica takes them."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from node._proto.link_pb2 import Credit, End, Frame, Hello, Messages, Request
from node.base.codec import encode
from node.base.ports import Silence
from node.base.types import (
    BlocksRequest,
    BodiesRequest,
    Digest,
    Height,
    Instant,
    OrgId,
    PeerMessage,
    PublicKey,
    Signature,
    Tip,
    Transactions,
)
from node.edge.transport.errors import PeerBroke
from node.edge.transport.wire import Piece, decode_frame, encode_frame
from node.engine.replica import CommitBlock, Committed, LinkChanged, PeerSent, Replica, Started, Submitted
from node.testing.fuzz.values import Known, forms
from node.testing.signing import HeldSigners
from node.testing.simulation import Disk, found
from node.testing.simulation.founding import START_MS

Built = tuple[list[bytes], Callable[[bytes], bool]]


def frame(folder: Path) -> Built:
    """What stands in one gRPC message."""
    frames: list[Frame | Piece] = [
        Frame(hello=Hello(chain=bytes(32), org="ada", instance=bytes(8))),
        Frame(messages=Messages(bodies=[b"abc", b""])),
        Frame(request=Request(number=7, body=b"request")),
        Frame(credit=Credit(number=7, bytes=1 << 20)),
        Frame(end=End(number=1 << 60)),
        Piece(7, b"chunk" * 20),
    ]

    def feed(data: bytes) -> bool:
        try:
            decode_frame(data)
        except PeerBroke:
            return False
        return True

    return [encode_frame(one) for one in frames], feed


def replica(folder: Path) -> Built:
    """A control message through the whole replica of a running member, from a peer with a valid certificate."""
    founded = found(4)
    disk = Disk(founded.genesis)
    org, peer = founded.orgs[0], founded.orgs[1]
    now_ms = START_MS
    one = Replica(
        org=org,
        genesis=founded.genesis,
        keyring=HeldSigners((founded.signers[org],)),
        verify=founded.verify,
        state=disk.state,
        chain=disk,
        vote_log=[],
        silence=Silence(),
        nonce=Digest(bytes(32)),
    )
    one.step(Started(), now=Instant(1_000, now_ms))
    one.step(LinkChanged(peer, True), now=Instant(1_001, now_ms))
    own = founded.transaction(org, 1, "sharing", "register", b"", START_MS + 10_000_000)
    one.step(Submitted((own,)), now=Instant(1_002, now_ms))
    ticks = 2_000

    def feed(data: bytes) -> bool:
        nonlocal ticks
        ticks += 1
        for effect in one.step(PeerSent(peer, data), now=Instant(ticks, now_ms + ticks)):
            if isinstance(effect, CommitBlock):
                disk.commit(effect.certified, effect.receipts, effect.writes, durable=effect.durable)
                one.step(Committed(effect.certified.block.header.height), now=Instant(ticks, now_ms + ticks))
        return True

    return _messages(founded.orgs, own), feed


def _messages(orgs: tuple[OrgId, ...], own: Any) -> list[bytes]:
    chance = random.Random("replica")
    known: Known = {
        OrgId: lambda chance: chance.choice(orgs),
        Digest: lambda chance: Digest(chance.choice((bytes(32), own.id))),
        PublicKey: lambda chance: PublicKey(bytes(32)),
        Signature: lambda chance: Signature(chance.randbytes(64)),
        Height: lambda chance: Height(chance.choice((0, 1, 1, 1, 2, 2**62))),
    }
    message: Any = PeerMessage
    corpus = [
        bytes((index,)) + form for index, kind in enumerate(get_args(message)) for form in forms(kind, known, chance, 6)
    ]
    valid = (Transactions((own.encoded,) * 3), Tip(Height(0), Digest(bytes(32))), BlocksRequest(Height(1), 9))
    corpus += [encode(one, message) for one in valid]
    corpus.append(encode(BodiesRequest((own.id,) * 40), message))
    return corpus


BUILDERS: dict[str, Callable[[Path], Built]] = {"frame": frame, "replica": replica}
