"""The join call over real TLS: one certificate is trusted, nothing but a card is taken, floods cost nobody else."""

from contextlib import asynccontextmanager

import grpc
import pytest

from node.base.ports import LinkError
from node.base.types import OrgId
from node.edge.storage.identity import make_tls_secret
from node.edge.transport import JoinRefused, JoinServer, TlsKey, show_card
from node.edge.transport.allowance import Allowance, Rate
from node.edge.transport.credentials import channel_options, to_pem
from node.edge.transport.join import CARD_BYTES_MAX, EACH, caller_network


def made() -> TlsKey:
    secret = make_tls_secret(OrgId("a"))
    return TlsKey(secret.key_pem, secret.certificate)


@asynccontextmanager
async def listening(receive, *keys, now_s=lambda: 0.0):
    server = JoinServer(receive, keys, clock=now_s)
    await server.start("127.0.0.1:0")
    try:
        yield server, f"127.0.0.1:{server.bound_port}"
    finally:
        await server.close()


def refuse(card: bytes) -> str:
    raise JoinRefused("not this one")


def fail(card: bytes) -> str:
    raise OSError("disk full")


async def test_a_card_is_handed_in_by_a_stranger_without_a_certificate():
    key, cards = made(), []
    async with listening(lambda card: cards.append(card) or "received", key) as (_, address):
        answer = await show_card(address, key.certificate, b"a card")

    assert (answer, cards) == ("received", [b"a card"])


async def test_only_the_certificate_of_the_given_card_is_trusted():
    key, cards = made(), []
    async with listening(cards.append, key) as (_, address):
        with pytest.raises(LinkError):
            await show_card(address, made().certificate, b"a card")

    assert cards == []


async def test_old_and_new_cards_of_the_member_both_reach_it():
    old, new = made(), made()
    async with listening(lambda card: "received", old) as (server, address):
        server.renew([new, old])
        for key in (old, new):
            assert await show_card(address, key.certificate, b"a card") == "received"


@pytest.mark.parametrize(
    ("receive", "card", "words"),
    [
        (refuse, b"a card", "not this one"),
        (fail, b"a card", "disk refused"),
        (lambda card: "received", bytes(CARD_BYTES_MAX + 1), "larger than max"),
    ],
)
async def test_refusals_are_told(receive, card, words):
    key = made()
    async with listening(receive, key) as (_, address):
        with pytest.raises(LinkError, match=words):
            await show_card(address, key.certificate, card)


async def test_nothing_else_is_served_there():
    key = made()
    async with listening(lambda card: "received", key) as (_, address):
        credentials = grpc.ssl_channel_credentials(root_certificates=to_pem(key.certificate))
        async with grpc.aio.secure_channel(address, credentials, options=channel_options(key.certificate)) as channel:
            for method in ("/lepton.Link/Control", "/lepton.Link/Bulk", "/lepton.Operator/Status"):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await channel.unary_unary(method)(b"", timeout=20)
                assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_one_address_is_limited_until_time_has_passed():
    key, now_s = made(), [0.0]
    async with listening(lambda card: "received", key, now_s=lambda: now_s[0]) as (_, address):
        for _ in range(EACH.at_once):
            await show_card(address, key.certificate, b"a card")
        with pytest.raises(LinkError, match="too many cards"):
            await show_card(address, key.certificate, b"a card")
        now_s[0] += EACH.every_s
        assert await show_card(address, key.certificate, b"a card") == "received"


def test_each_address_and_all_together_have_their_rates():
    now_s = [0.0]
    allowance = Allowance(Rate(2, 10), Rate(5, 1), lambda: now_s[0], addresses_max=100)

    assert [allowance.take("a") for _ in range(3)] == [True, True, False]
    assert [allowance.take(f"b{number}") for number in range(4)] == [True, True, True, False]
    now_s[0] = 10
    assert [allowance.take("a") for _ in range(2)] == [True, False]


def test_the_memory_of_addresses_is_bounded():
    allowance = Allowance(Rate(1, 1e9), Rate(10**9, 1), lambda: 0.0, addresses_max=2)

    assert [allowance.take(address) for address in "abca"] == [True, True, True, True]
    assert [allowance.take(address) for address in "aca"] == [False, False, False]


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("ipv4:192.0.2.7:4711", "192.0.2.7"),
        ("ipv6:%5B2001:db8::1:2%5D:4711", "2001:db8::/64"),
        ("ipv6:[2001:db8::ffff]:4711", "2001:db8::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("unix:", "unix"),
        ("", ""),
    ],
)
def test_whom_a_limit_counts(peer, network):
    assert caller_network(peer) == network
