"""Who is refused, and how it is told: raw gRPC clients with every wrong mixture of certificate and claim."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from node._proto.link_pb2 import Frame, Hello, Messages
from node.app.doctor.network import CERTIFICATE_REFUSED
from node.base.types import Digest, OrgId
from node.edge.storage.identity import make_tls_secret
from node.edge.transport import RefusalKind
from node.edge.transport.credentials import certificate_name, to_pem
from node.edge.transport.limits import PROTOCOL_VERSIONS
from node.edge.transport.versions import Versions

A, B, C = (OrgId(name) for name in "abc")
OTHER_CHAIN = Digest(bytes(32))
LATER_VERSIONS = Versions(PROTOCOL_VERSIONS.highest + 1, PROTOCOL_VERSIONS.highest + 2)


@asynccontextmanager
async def raw_call(party, chain, *, claim=B, secret=None, versions=str(PROTOCOL_VERSIONS), method="Control"):
    """A client that does as it likes: `secret` is its TLS identity, None for no certificate."""
    key, certificate = (secret.key_pem, to_pem(secret.certificate)) if secret else (None, None)
    credentials = grpc.ssl_channel_credentials(to_pem(party.tls.certificate), key, certificate)
    name = certificate_name(party.tls.certificate)
    options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
    metadata = [("lepton-chain", chain.hex()), ("lepton-versions", versions)]
    if claim is not None:
        metadata.append(("lepton-org", claim))
    async with grpc.aio.secure_channel(f"127.0.0.1:{party.transport.bound_port}", credentials, options) as channel:
        call = channel.stream_stream(
            f"/lepton.Link/{method}",
            request_serializer=lambda frame: frame if isinstance(frame, bytes) else frame.SerializeToString(),
            response_deserializer=Frame.FromString,
        )(metadata=metadata)
        try:
            yield call
        finally:
            call.cancel()


async def status_of(call) -> tuple[grpc.StatusCode, str]:
    """How the server ends the call, whatever we send it."""
    async with asyncio.timeout(20):
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()
        return await call.code(), await call.details()


def hello(chain, org=B, instance=b"12345678") -> Frame:
    lowest, highest = PROTOCOL_VERSIONS.lowest, PROTOCOL_VERSIONS.highest
    return Frame(hello=Hello(version_lowest=lowest, version_highest=highest, chain=chain, org=org, instance=instance))


def messages(body) -> Frame:
    return Frame(messages=Messages(bodies=[body]))


async def lonely(parties):
    """Member a, whose ledger names b and c, neither of which runs."""
    a = await parties.start("a", handshake_grace_s=0.2)
    a.members.accepted |= {B: (parties.secret("b").certificate,), C: (parties.secret("c").certificate,)}
    a.transport.recheck()
    return a


async def test_no_certificate_is_refused_in_the_handshake_and_counted(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, chain) as call:
        code, _ = await status_of(call)

    assert code is grpc.StatusCode.UNAVAILABLE
    await a.heard.until(lambda: a.transport.refused[RefusalKind.HANDSHAKE] >= 1)
    assert a.transport.connected() == frozenset()


async def test_a_strangers_certificate_is_refused_in_the_handshake_and_counted(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, chain, secret=make_tls_secret(B)) as call:
        code, words = await status_of(call)

    assert code is grpc.StatusCode.UNAVAILABLE
    assert CERTIFICATE_REFUSED in words, "the doctor knows by it who is refused"
    await a.heard.until(lambda: a.transport.refused[RefusalKind.HANDSHAKE] >= 1)
    assert a.transport.connected() == frozenset()


async def test_a_members_certificate_claiming_another_member_is_refused_by_name(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, chain, claim=B, secret=parties.secret("c")) as call:
        code, _ = await status_of(call)

    assert code is grpc.StatusCode.UNAUTHENTICATED
    (refusal,) = a.heard.refusals
    assert (refusal.kind, refusal.claimed, refusal.holder) == (RefusalKind.WRONG_CERTIFICATE, B, C)
    assert a.transport.refused == {RefusalKind.WRONG_CERTIFICATE: 1}


@pytest.mark.parametrize("method", ["Control", "Bulk"])
@pytest.mark.parametrize(
    ("claim", "kind", "code"),
    [
        (None, RefusalKind.NO_CLAIM, grpc.StatusCode.UNAUTHENTICATED),
        ("Not An Org", RefusalKind.NO_CLAIM, grpc.StatusCode.UNAUTHENTICATED),
        ("nobody", RefusalKind.NOT_A_MEMBER, grpc.StatusCode.PERMISSION_DENIED),
        ("a", RefusalKind.NOT_A_MEMBER, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_claims_that_name_no_other_member_are_refused(parties, chain, method, claim, kind, code):
    a = await lonely(parties)

    async with raw_call(a, chain, claim=claim, secret=parties.secret("b"), method=method) as call:
        assert (await status_of(call))[0] is code

    assert [refusal.kind for refusal in a.heard.refusals] == [kind]
    assert a.heard.refusals[0].holder == B


async def test_another_chain_or_version_is_refused(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, OTHER_CHAIN, secret=parties.secret("b")) as call:
        first = await status_of(call)
    async with raw_call(a, chain, secret=parties.secret("b"), versions=str(LATER_VERSIONS)) as call:
        second = await status_of(call)

    assert first[0] is grpc.StatusCode.FAILED_PRECONDITION
    assert second[0] is grpc.StatusCode.UNIMPLEMENTED
    assert str(PROTOCOL_VERSIONS) in second[1]
    assert str(LATER_VERSIONS) in second[1]
    assert [refusal.kind for refusal in a.heard.refusals] == [RefusalKind.WRONG_CHAIN, RefusalKind.WRONG_VERSION]


async def test_the_right_certificate_with_the_right_claim_gets_through(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, chain, secret=parties.secret("b")) as call:
        await call.write(hello(chain))
        answer = await call.read()
        await a.heard.until(lambda: (B, True) in a.heard.links)
        await call.write(messages(b"hi"))
        await a.heard.until(lambda: bool(a.heard.messages))

    assert (answer.hello.org, answer.hello.chain) == (A, chain)
    assert a.heard.messages == [(B, b"hi")]
    await a.heard.until(lambda: (B, False) in a.heard.links)
    assert a.heard.refusals == []


@pytest.mark.parametrize(
    "first",
    [
        messages(b"no hello"),
        hello(OTHER_CHAIN),
        hello(bytes(range(32)), org=C),
        hello(bytes(range(32)), instance=b""),
        hello(bytes(range(32)), instance=bytes(4_000)),
        Frame(),
        b"\xff\xff\xff",
    ],
)
async def test_a_first_frame_that_is_no_proper_hello_is_cut_off(parties, chain, first):
    a = await lonely(parties)

    async with raw_call(a, chain, secret=parties.secret("b")) as call:
        await call.write(first)
        await status_of(call)

    await a.heard.until(lambda: bool(a.heard.refusals))
    assert a.heard.refusals[0].kind is RefusalKind.BROKE_PROTOCOL
    assert a.heard.refusals[0].claimed == B
    assert a.heard.links == []


@pytest.mark.parametrize(
    "frame",
    [
        messages(bytes((2 << 20) + 1)),
        messages(bytes(3 << 20)),
        hello(bytes(range(32))),
        Frame(),
        b"\xff\xff\xff",
    ],
)
async def test_a_peer_that_breaks_the_control_protocol_is_cut_off(parties, chain, frame):
    a = await lonely(parties)

    async with raw_call(a, chain, secret=parties.secret("b")) as call:
        await call.write(hello(chain))
        await call.read()
        await call.write(frame)
        await status_of(call)

    await a.heard.until(lambda: (B, False) in a.heard.links)
    await a.heard.until(lambda: bool(a.heard.refusals))
    assert a.heard.refusals[0].kind is RefusalKind.BROKE_PROTOCOL
    assert a.heard.messages == []


async def test_a_frame_beyond_what_grpc_lets_through_ends_the_link(parties, chain):
    a = await lonely(parties)

    async with raw_call(a, chain, secret=parties.secret("b")) as call:
        await call.write(hello(chain))
        await call.read()
        await call.write(messages(bytes(5 << 20)))
        await status_of(call)

    await a.heard.until(lambda: (B, False) in a.heard.links)
    assert a.heard.messages == []


async def test_a_removed_members_open_streams_are_cut_and_stay_cut(parties):
    a, b = await parties.network("a", "b", handshake_grace_s=0.2)

    del a.members.accepted[B]
    a.transport.recheck()
    await a.heard.until(lambda: (B, False) in a.heard.links)
    await b.heard.until(lambda: (A, False) in b.heard.links)
    links = list(a.heard.links)
    # b dials again and is refused: by the handshake or, while gRPC's core still trusts its root, by our judgement.
    await a.heard.until(lambda: bool(a.heard.refusals))

    assert a.transport.connected() == frozenset()
    assert a.heard.links == links


async def test_a_changed_certificate_cuts_the_old_key_off(parties):
    a, _ = await parties.network("a", "b")

    a.members.accepted[B] = (make_tls_secret(B).certificate,)
    a.transport.recheck()
    await a.heard.until(lambda: (B, False) in a.heard.links)

    assert a.transport.connected() == frozenset()
    assert a.heard.links[-1] == (B, False)


async def test_a_member_that_is_added_is_linked_without_a_restart(parties):
    a, b = await parties.network("a", "b")

    c = await parties.start("c")
    parties.introduce(a, b, c)

    await c.linked(a, b)
    await a.linked(b, c)
    assert (B, False) not in a.heard.links


async def test_a_server_that_is_not_the_dialled_member_gets_no_link(parties):
    a, b = await parties.start("a"), await parties.start("b")
    a.members.accepted[C] = (parties.secret("c").certificate,)
    b.members.accepted[A] = (a.tls.certificate,)

    # a's ledger says that c lives where b does; b's certificate is not c's.
    a.members.where[C] = (f"127.0.0.1:{b.transport.bound_port}",)
    a.transport.recheck()
    b.transport.recheck()
    await parties.network("d", "e")

    assert a.transport.connected() == frozenset()
    assert b.heard.links == []
