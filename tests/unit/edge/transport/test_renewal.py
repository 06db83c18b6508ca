"""TLS keys that are renewed, stolen or long unknown, over real sockets and real TLS: nobody restarts."""

import asyncio
from itertools import count

import pytest

from node.base.types import OrgId
from node.edge.storage.identity import make_tls_secret
from node.edge.transport import TlsKey
from node.edge.transport.report import Purpose

A, B, C = (OrgId(name) for name in "abc")


def key_of(secret) -> TlsKey:
    return TlsKey(secret.key_pem, secret.certificate)


def renew(party) -> tuple[TlsKey, TlsKey]:
    """Give the member a new TLS key beside its old one, as its daemon does; (new, old)."""
    new, old = key_of(make_tls_secret(party.org)), key_of(party.tls)
    party.transport.renew([new, old])
    return new, old


def tell(parties, org: OrgId, *keys: TlsKey) -> None:
    """The ledgers of these members name these certificates of the organisation, newest first."""
    for party in parties:
        party.members.accepted[org] = tuple(key.certificate for key in keys)
        party.transport.recheck()


async def test_a_renewal_leaves_open_links_alone_and_new_ones_use_the_new_key(parties):
    a, b = await parties.network("a", "b")
    new, old = renew(b)

    tell((a, b), B, new, old)
    c = await parties.start("c")
    for party in (a, b):
        party.members.accepted[C] = (c.tls.certificate,)
        c.members.accepted[party.org] = party.members.accepted[party.org]
        c.members.where[party.org] = (f"127.0.0.1:{party.transport.bound_port}",)
        party.transport.recheck()
    c.transport.recheck()
    await c.linked(a, b)

    assert (B, False) not in a.heard.links
    assert (A, False) not in b.heard.links
    assert c.transport.link(B).certificate == new.certificate


async def number_messages(sender, receiver) -> None:
    """Send without end, each message when the one before has arrived: one that is lost is the last."""
    for number in count():
        sender.transport.send(receiver.org, str(number).encode())
        await receiver.heard.until(lambda number=number: len(receiver.heard.messages) > number)


@pytest.mark.parametrize("renewing", ["the dialler", "the dialled"])
async def test_links_are_dialled_anew_with_a_newer_certificate_and_only_then_the_old_ones_end(parties, renewing):
    a, b = await parties.network("a", "b")
    one, other = (a, b) if a.transport.link(B).dialled == (renewing == "the dialler") else (b, a)
    numbered = asyncio.create_task(number_messages(a, b))
    new, old = renew(one)

    def is_new(purpose: Purpose) -> bool:
        link = other.transport.link(one.org, purpose)
        return link is not None and link.certificate == new.certificate

    tell((a, b), one.org, new, old)
    await b.heard.until(lambda: all(map(is_new, Purpose)))
    await b.heard.until(lambda: a.transport.health().calls == b.transport.health().calls == 2)
    tell((a, b), one.org, new)
    sent = len(b.heard.messages)
    await b.heard.until(lambda: len(b.heard.messages) > sent)
    numbered.cancel()

    assert [int(message) for _, message in b.heard.messages] == list(range(len(b.heard.messages)))
    assert a.heard.links == [(B, True)]
    assert b.heard.links == [(A, True)]


async def test_a_link_of_a_member_whose_ledger_is_behind_is_cut_when_the_overlap_ends_and_made_again(parties):
    a, b = await parties.network("a", "b")
    new, _old = renew(b)
    tell((a,), B, new)

    await a.heard.until(lambda: (B, False) in a.heard.links)
    await a.linked(b)
    await b.linked(a)

    assert a.transport.link(B).certificate == new.certificate


async def test_a_revoked_key_is_cut_at_once_and_opens_nothing_any_more(parties):
    a, b = await parties.network("a", "b", handshake_grace_s=0.2)
    stolen = key_of(b.tls)

    tell((a,), B)
    await a.heard.until(lambda: (B, False) in a.heard.links)
    refused = len(a.heard.refusals)
    await a.heard.until(lambda: len(a.heard.refusals) > refused)
    assert a.transport.connected() == frozenset()

    new = key_of(make_tls_secret(B))
    b.transport.renew([new, stolen])
    tell((a, b), B, new)
    await a.linked(b)

    assert a.transport.link(B).certificate == new.certificate


async def test_a_member_whose_ledger_is_behind_is_reached_with_the_key_that_it_knows(parties):
    a, b = await parties.start("a"), await parties.start("b")
    new, old = renew(b)

    # a was away for the whole overlap: it knows b's old key only, and b may use both.
    a.members.accepted[B] = (old.certificate,)
    tell((b,), B, new)
    b.members.accepted[A] = (a.tls.certificate,)
    b.members.where[A] = (f"127.0.0.1:{a.transport.bound_port}",)
    a.transport.recheck()
    b.transport.recheck()
    await a.linked(b)
    assert a.transport.link(B).certificate == old.certificate

    # It hears of the new key: the old link is cut, and another is made with the new one.
    tell((a,), B, new)
    await a.heard.until(lambda: (B, False) in a.heard.links)
    await a.linked(b)

    assert a.transport.link(B).certificate == new.certificate


async def test_a_member_whose_ledger_is_behind_finds_the_key_that_it_knows(parties):
    a, b = await parties.start("a"), await parties.start("b")
    new, old = renew(b)

    # Only a can dial; it asks for the certificate that its ledger names.
    a.members.accepted[B] = (old.certificate,)
    a.members.where[B] = (f"127.0.0.1:{b.transport.bound_port}",)
    tell((b,), B, new)
    b.members.accepted[A] = (a.tls.certificate,)
    b.transport.recheck()
    a.transport.recheck()
    await a.linked(b)

    assert a.transport.link(B).certificate == old.certificate
