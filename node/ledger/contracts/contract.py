"""What a contract is made of, and what it sees of the state.

A contract is a name and its methods. A method is a plain function over a `Context`: it reads, writes and emits, or
raises `Rejected`, and then nothing of what it did remains. What a block does around that (nonces, limits, receipts,
roots) is `node.ledger.apply`.

Contracts run on every member and must come to the same bytes everywhere: integers, bytes and strings only, block
time instead of a clock, and iteration in the order of keys.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from node.base.codec import decode, encode
from node.base.ports import Verifier, Writes
from node.base.types import Digest, Event, Height, MemberSet, OrgId, Parameters

T = TypeVar("T")

BLOCK_STEPS_MAX = 1_000_000
"""Of what contracts of organisations may take in one block: some tenth of a second."""
ORGANISATION_STEPS_MAX = BLOCK_STEPS_MAX // 2
"""Of them, what one organisation may take: one that floods leaves room for others."""


class Rejected(Exception):
    """A contract's refusal. The receipt carries `code` and `reason`; nothing else of the transaction remains."""

    def __init__(self, code: str, reason: str) -> None:
        """`code` is a short name like `not-owner`; `reason` one sentence that says what to do.

        Both stand in the receipt, whose bytes all members agree on. So no `repr` of texts and no words of libraries:
        they differ between versions.
        """
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Refusal(NamedTuple):
    """Why something is not so: what a `Rejected` would carry, for whoever only asks."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Method:
    """One thing that members may ask of a contract."""

    payload: Any
    """The frozen dataclass (or union of them) that the codec makes of the transaction's payload before `run`."""
    run: Callable[["Context", Any], None]
    """Raises `Rejected` to refuse; any other exception is a bug of the contract."""
    companions: Callable[["View", Any], frozenset[OrgId]] | None = None
    """Who calls it at about the same time and has not yet, by the contract's part of the state and a payload.

    A proposer waits a moment for all of them, so that one block takes what would else be a block for each. Nothing
    that is valid depends on it. None: the call waits for nobody.
    """


@dataclass(frozen=True, slots=True)
class Contract:
    """A named set of methods with a part of the state of its own: the keys below `name/`."""

    name: str
    methods: Mapping[str, Method]


class Readable(Protocol):
    """What a view reads from: the committed state, or an overlay of uncommitted writes on it."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        ...

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys with this prefix and their values, ascending by key."""
        ...


class Writable(Readable, Protocol):
    """A `Readable` that takes writes: one transaction's overlay."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value at `key`."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove `key`; nothing happens where it is not there."""
        ...


def changed_contracts(writes: Writes) -> frozenset[str]:
    """The contracts in whose part of the state a block writes something."""
    return frozenset(key.partition(b"/")[0].decode() for key, _ in writes.state)


class View:
    """One contract's part of the state, read-only. Keys stand without the contract's prefix."""

    __slots__ = ("_contract", "_prefix", "_source")

    def __init__(self, source: Readable, contract: str) -> None:
        self._source = source
        self._contract = contract
        self._prefix = f"{contract}/"

    def get(self, key: str) -> bytes | None:
        """The value at `key`."""
        return self._source.get((self._prefix + key).encode())

    def load(self, kind: type[T], key: str) -> T | None:
        """The value at `key`, decoded as `kind`. Raises `DecodeError` where another kind was stored: a bug."""
        value = self.get(key)
        return None if value is None else decode(kind, value)

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Keys that start with `prefix` and their values, ascending by the keys' bytes.

        What is written while the scan runs is not seen by it.
        """
        cut = len(self._prefix.encode())
        found = self._source.scan((self._prefix + prefix).encode())
        return ((key[cut:].decode(), value) for key, value in found)

    @property
    def ledger(self) -> Readable:
        """The whole state, for reading the ledger's own part of it."""
        return self._source

    def other(self, contract: str) -> "View":
        """Another contract's part, read-only."""
        return View(self._source, contract)


class WritableView(View):
    """One contract's part of the state, to read and write."""

    __slots__ = ("_target",)

    def __init__(self, target: Writable, contract: str) -> None:
        super().__init__(target, contract)
        self._target = target

    def put(self, key: str, value: bytes) -> None:
        """Set the value at `key`."""
        self._target.put((self._prefix + key).encode(), value)

    def store(self, key: str, value: Any) -> None:
        """Set the value at `key` to the byte form of a dataclass."""
        self.put(key, encode(value))

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens where it is not there."""
        self._target.delete((self._prefix + key).encode())


class Budget:
    """What the transactions of one block may still take, in steps of organisations' own conditions.

    It is spent by refused transactions too, and so is no part of the state: they leave nothing there.
    """

    __slots__ = ("_by_org", "_once", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._by_org: dict[OrgId, int] = {}
        self._once: set[bytes] = set()

    def spend(self, org: OrgId, steps: int) -> None:
        """Take so many in the organisation's name. Raises `Rejected` where they are not left."""
        own = self._by_org.get(org, 0) + steps
        if self._total + steps > BLOCK_STEPS_MAX or own > ORGANISATION_STEPS_MAX:
            raise Rejected("budget-spent", "This block has decided as much as it may; submit it again.")
        self._total += steps
        self._by_org[org] = own

    def spend_once(self, org: OrgId, what: bytes, steps: int) -> None:
        """The same for what is done once in a block, whoever asks for it again. Raises `Rejected`."""
        if what not in self._once:
            self.spend(org, steps)
            self._once.add(what)


@dataclass(frozen=True, slots=True)
class Frame:
    """What all transactions of one block see alike."""

    chain: Digest
    height: Height
    time_ms: int
    """The block's time."""
    members: MemberSet
    """In force at this height."""
    next_members: MemberSet
    """In force at the next height, whatever this block's transactions do."""
    parameters: Parameters
    verify: Verifier
    budget: Budget = field(default_factory=Budget, compare=False)
    """Of this block; what is spent stays spent."""


class Context(WritableView):
    """One transaction: who asks, when, and the contract's part of the state to read and write."""

    __slots__ = ("_events", "frame", "height", "members", "org", "time_ms", "transaction")

    def __init__(
        self,
        target: Writable,
        contract: str,
        frame: Frame,
        *,
        org: OrgId,
        transaction: Digest,
    ) -> None:
        """`org` is who asks, `transaction` the transaction's id."""
        super().__init__(target, contract)
        self._events: list[Event] = []
        self.org = org
        self.transaction = transaction
        self.frame = frame
        self.time_ms = frame.time_ms
        self.height = frame.height
        self.members = frame.members

    @property
    def events(self) -> tuple[Event, ...]:
        """What was emitted so far, in order."""
        return tuple(self._events)

    @property
    def next_height(self) -> Height:
        """The height after this block's."""
        return Height(self.height + 1)

    def acting_on(self, contract: str) -> "Context":
        """The same transaction on another contract's part: only for what a rule of the chain makes follow from it."""
        other = Context(self._target, contract, self.frame, org=self.org, transaction=self.transaction)
        other._events = self._events
        return other

    def emit(self, name: str, body: bytes = b"") -> None:
        """Add an event to the receipt."""
        self._events.append(Event(self._contract, name, body))


def is_text(text: str, characters_max: int, *, lines: bool = False) -> bool:
    """Whether a person can read the text safely: no control characters, nothing that turns the writing's direction.

    The ranges are listed, because what Python calls printable follows its version of Unicode. `lines` allows line
    breaks.
    """
    return len(text) <= characters_max and not any(
        any(low <= ord(character) <= high for low, high in _UNSAFE) and not (lines and character == "\n")
        for character in text
    )


_UNSAFE = ((0x00, 0x1F), (0x7F, 0x9F), (0x2028, 0x202E), (0x2066, 0x2069))


def view(reader: Readable, contract: str) -> View:
    """A contract's part of the committed state, for reading outside a block."""
    return View(reader, contract)
