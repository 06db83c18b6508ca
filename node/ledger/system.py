"""The part of the state that is the ledger's own: `sys/...`. No contract writes it.

============================  ==================================================================================
key                           value
============================  ==================================================================================
``sys/head``                  `Head`: height and time of the last block
``sys/members``               `Quorums`: who signed the last block, who signs the next
``sys/parameters``            `Parameters` of the chain
``sys/recent/<slot>``         `Root` of one of the last `ROOTS_MAX` blocks, of height modulo that: a state that a
                              candidate may show that it has executed
``sys/set/<height>``          `MemberSet` in force from that height on; written at 1 and at every change
``sys/nonce/<organisation>``  `NonceWindow`; stays when the organisation is removed, so that nothing is replayed
============================  ==================================================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from node.base.codec import decode
from node.base.types import NONCE_WINDOW, Digest, Height, MemberSet, OrgId, Parameters
from node.ledger.contracts.contract import Readable

SYSTEM = "sys"
HEAD_KEY = b"sys/head"
MEMBERS_KEY = b"sys/members"
PARAMETERS_KEY = b"sys/parameters"
SET_PREFIX = b"sys/set/"

ROOTS_MAX = 256
"""A candidate that is further behind is not ready. A network of one makes hundreds of blocks in a second, and what a
candidate says is a while on its way."""

SETS_READ_MAX = 16
"""Member sets that are kept by the bytes that they were read from."""

_MASK = (1 << NONCE_WINDOW) - 1


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands; at genesis height 0 and the genesis's time."""

    height: Height
    time_ms: int


@dataclass(frozen=True, slots=True)
class Quorums:
    """The sets whose certificates count: `head` signs the last block, `next` the block after it."""

    head: MemberSet
    next: MemberSet


@dataclass(frozen=True, slots=True)
class Root:
    """The state root after the block of this height."""

    height: Height
    state_root: Digest


@dataclass(frozen=True, slots=True)
class NonceWindow:
    """The nonces that an organisation has used: the highest, and which of the `NONCE_WINDOW` up to it."""

    highest: int = -1
    """-1 before the first."""
    used: bytes = bytes(NONCE_WINDOW // 8)
    """A bitmap, most significant bit first; the last bit is `highest`, the one before it `highest` - 1."""

    def refusal(self, nonce: int) -> tuple[str, str] | None:
        """None if `nonce` may be used, else the refusal's code and reason."""
        if nonce < 0:
            return "bad-nonce", "A nonce is a whole number from 0 on."
        back = self.highest - nonce
        if back >= NONCE_WINDOW:
            return "old-nonce", f"Nonce {nonce} is {NONCE_WINDOW} or more below the highest, {self.highest}."
        if back >= 0 and int.from_bytes(self.used, "big") >> back & 1:
            return "replay", f"Nonce {nonce} was used already; sign the transaction again with a new one."
        return None

    def using(self, nonce: int) -> "NonceWindow":
        """The window after `nonce`, which `refusal` did not refuse."""
        used = int.from_bytes(self.used, "big")
        if nonce <= self.highest:
            return NonceWindow(self.highest, (used | 1 << self.highest - nonce).to_bytes(NONCE_WINDOW // 8, "big"))
        # A jump may be as wide as 2**63; what would leave the window is dropped before it is shifted.
        ahead = nonce - self.highest
        shifted = used << ahead & _MASK if ahead < NONCE_WINDOW else 0
        return NonceWindow(nonce, (shifted | 1).to_bytes(NONCE_WINDOW // 8, "big"))


def nonce_key(org: OrgId) -> bytes:
    """Where an organisation's window stands."""
    return f"{SYSTEM}/nonce/{org}".encode()


def nonce_window(reader: Readable, org: OrgId) -> NonceWindow:
    """The organisation's window; an untouched one before its first transaction."""
    value = reader.get(nonce_key(org))
    return NonceWindow() if value is None else decode(NonceWindow, value)


def head(reader: Readable) -> Head:
    """Height and time of the last block."""
    return decode(Head, _required(reader, HEAD_KEY))


def quorums(reader: Readable) -> Quorums:
    """Who signed the last block and who signs the next."""
    return _quorums(_required(reader, MEMBERS_KEY))


@lru_cache(maxsize=SETS_READ_MAX)
def _quorums(stored: bytes) -> Quorums:
    # Asked for several times in a block and seldom changed; large in a large network.
    return decode(Quorums, stored)


def root_key(height: Height) -> bytes:
    """Where the root after this height's block stands, until the one `ROOTS_MAX` blocks later takes its place."""
    return b"sys/recent/%03d" % (height % ROOTS_MAX)


def root_at(reader: Readable, height: Height) -> Digest | None:
    """The root after this height's block, of the last `ROOTS_MAX` before the head's own; None when it is out of reach.

    0 is the genesis.
    """
    value = reader.get(root_key(height))
    root = None if value is None else decode(Root, value)
    return root.state_root if root is not None and root.height == height else None


def set_key(height: Height) -> bytes:
    """Where the set stands that is in force from this height on."""
    return SET_PREFIX + b"%020d" % height


def set_history(reader: Readable) -> Iterator[tuple[Height, MemberSet]]:
    """All member sets with the first height of each, ascending."""
    for key, value in reader.scan(SET_PREFIX):
        yield Height(int(key.removeprefix(SET_PREFIX))), decode(MemberSet, value)


def members_at(reader: Readable, height: Height) -> MemberSet | None:
    """The set in force at a height up to the one after the head; None below 1."""
    found = None
    for key, value in reader.scan(SET_PREFIX):
        if key > set_key(height):
            break
        found = value
    return None if found is None else _member_set(found)


@lru_cache(maxsize=SETS_READ_MAX)
def _member_set(stored: bytes) -> MemberSet:
    return decode(MemberSet, stored)


def parameters(reader: Readable) -> Parameters:
    """The chain's parameters."""
    return decode(Parameters, _required(reader, PARAMETERS_KEY))


def _required(reader: Readable, key: bytes) -> bytes:
    value = reader.get(key)
    assert value is not None, f"the state has no {key.decode()}: the genesis was not written to it"
    return value
