"""The inbox: order of arrival, votes first, and no peer in front of others by more than its window."""

import random
from typing import get_args

import pytest

from node.base.types import OrgId, PeerMessage, RoundChange, Transactions, Vote
from node.engine.inbox import BYTES_PER_PEER_MAX, MESSAGES_PER_PEER_MAX, WINDOW, Inbox
from node.engine.replica_io import LinkChanged, PeerSent

A, B, C = OrgId("a"), OrgId("b"), OrgId("c")
KINDS = get_args(PeerMessage)


def message(kind: type, number: int = 0) -> bytes:
    return bytes((KINDS.index(kind),)) + number.to_bytes(4, "big")


def taken(inbox: Inbox) -> list:
    found = []
    while inbox:
        found.append(inbox.take())
    return found


def test_an_honest_load_is_taken_in_the_order_of_arrival():
    inbox, put = Inbox(), []
    for number in range(WINDOW):
        for peer in (A, B, C):
            inbox.put(peer, message(Transactions, number))
            put.append(PeerSent(peer, message(Transactions, number)))

    assert taken(inbox) == put


def test_votes_overtake_and_keep_their_own_order():
    inbox = Inbox()
    inbox.put(A, message(Transactions, 1))
    inbox.put_own(LinkChanged(B, True))
    inbox.put(B, message(Vote, 2))
    inbox.put(A, message(RoundChange, 3))

    assert taken(inbox) == [
        PeerSent(B, message(Vote, 2)),
        PeerSent(A, message(RoundChange, 3)),
        PeerSent(A, message(Transactions, 1)),
        LinkChanged(B, True),
    ]


@pytest.mark.parametrize("kind", [Vote, Transactions])
def test_a_flood_delays_another_peer_by_its_window_only(kind):
    inbox = Inbox()
    for number in range(MESSAGES_PER_PEER_MAX):
        inbox.put(A, message(kind, number))
    for number in range(3):
        inbox.put(B, message(kind, number))

    order = taken(inbox)

    assert [item.peer for item in order].index(B) == WINDOW
    assert [item.peer for item in order][WINDOW : WINDOW + 3] == [B, B, B]
    assert [item.message for item in order if item.peer == A] == [
        message(kind, number) for number in range(MESSAGES_PER_PEER_MAX)
    ]


def test_each_peers_waiting_messages_are_bounded_by_count_and_bytes():
    inbox = Inbox()
    few = [inbox.put(A, message(Vote)) for _ in range(MESSAGES_PER_PEER_MAX + 1)]
    long = [inbox.put(B, bytes(BYTES_PER_PEER_MAX // 4)) for _ in range(5)]

    assert few.count(False) == long.count(False) == 1
    assert inbox.put(C, message(Vote))
    taken(inbox)
    assert inbox.put(A, message(Vote))
    assert inbox.put(B, bytes(BYTES_PER_PEER_MAX))


def test_dropping_a_peer_leaves_the_others_and_begins_anew():
    inbox = Inbox()
    for number in range(1_000):
        inbox.put(A, message(Transactions, number))
        inbox.put(A, message(Vote, number))
    inbox.put(B, message(Transactions, 7))
    inbox.drop(A)
    inbox.put(A, message(Transactions, 8))

    assert taken(inbox) == [PeerSent(B, message(Transactions, 7)), PeerSent(A, message(Transactions, 8))]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_each_peers_messages_of_one_kind_keep_their_order_and_none_is_lost(seed):
    chance, inbox, put, got = random.Random(seed), Inbox(), [], []
    for number in range(3_000):
        sent = PeerSent(chance.choice((A, A, A, B, C)), message(chance.choice((Vote, Transactions)), number))
        assert inbox.put(sent.peer, sent.message)
        put.append(sent)
        if chance.random() < 0.4:
            got.append(inbox.take())
    got += taken(inbox)

    def of(peer, kind, items):
        return [item for item in items if item.peer == peer and item.message[0] == KINDS.index(kind)]

    for peer in (A, B, C):
        for kind in (Vote, Transactions):
            assert of(peer, kind, got) == of(peer, kind, put)
