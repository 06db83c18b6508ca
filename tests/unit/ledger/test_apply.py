"""What a block may carry, what it does, and that every header field is held against the result."""

from dataclasses import fields, replace

import pytest

from node.base.codec import encode
from node.base.crypto import Ed25519Signer, digest, verify
from node.base.types import (
    TRANSACTION_BYTES_MAX,
    Block,
    Digest,
    Header,
    Height,
    MemberSet,
    OrgId,
    Parameters,
    Signature,
    Transaction,
    VoteKind,
    certificate_digest,
    header_digest,
    transactions_root,
)
from node.ledger.apply import (
    Executed,
    Position,
    build_block,
    check_transaction,
    execute_block,
    members_at_head,
    run_transaction,
)
from node.ledger.contracts.contract import Context, Contract, Frame, Method, Rejected, view
from node.ledger.contracts.sharing import Register, data_set
from node.ledger.errors import InvalidBlock, Unacceptable
from node.ledger.overlay import Overlay
from node.ledger.system import root_key
from node.testing.founding import GENESIS_TIME_MS, Founding, MemoryChain

COMMITMENT = Digest(digest("commitment"))


def register(founding: Founding, org: str, nonce: int, name: str = "", **more: int) -> Transaction:
    return founding.transaction(org, nonce, "sharing", "register", Register(name or f"d{nonce}", COMMITMENT), **more)


def execute(chain: MemoryChain, block: Block, **changes: object) -> Executed:
    header = block.header
    position = replace(chain.position(), time_ms=header.time_ms, author=header.author, **changes)
    return execute_block(chain.state, position, block, chain.founding.verify)


def grown(blocks: int = 2, **options: object) -> MemoryChain:
    chain = MemoryChain(Founding(**options))
    for nonce in range(blocks):
        chain.extend(register(chain.founding, "ada", nonce))
    return chain


def remade(executed: Executed, transactions: tuple[Transaction, ...]) -> Block:
    """The block with other transactions and an honest root over them."""
    header = replace(executed.block.header, transactions_root=transactions_root(transactions))
    return Block(header, transactions, executed.block.last_certificate)


def test_executing_a_built_block_gives_the_same() -> None:
    chain = grown()
    built = chain.build(register(chain.founding, "bob", 0), register(chain.founding, "ada", 7))
    assert len(built.receipts) == 2
    assert execute(chain, built.block) == built


def test_it_holds_with_real_signatures() -> None:
    chain = grown(signer=Ed25519Signer, verify=verify)
    built = chain.build(register(chain.founding, "bob", 0))
    assert execute(chain, built.block) == built
    assert built.receipts[0].accepted


def test_an_accepted_transaction_writes_and_emits() -> None:
    chain = MemoryChain(Founding())
    executed = chain.extend(register(chain.founding, "ada", 0, "patients"))
    (receipt,) = executed.receipts
    assert (receipt.accepted, receipt.code, receipt.reason) == (True, "ok", "")
    assert [event.name for event in receipt.events] == ["registered"]
    found = data_set(view(chain.state, "sharing"), "ada/patients")
    assert found is not None
    assert (found.owner, found.registered_ms) == ("ada", executed.block.header.time_ms)


@pytest.mark.parametrize(
    ("contract", "method", "payload", "code"),
    [
        ("nowhere", "register", b"", "unknown-contract"),
        ("sys", "register", b"", "unknown-contract"),
        ("sharing", "nothing", b"", "unknown-method"),
        ("sharing", "register", b"\x00", "bad-payload"),
        ("sharing", "register", encode(Register("d0", COMMITMENT)) + b"\x00", "bad-payload"),
        ("sharing", "register", encode(Register("Not a name", COMMITMENT)), "bad-name"),
        ("sharing", "register", encode(Register("d0", COMMITMENT)), "already-registered"),
    ],
)
def test_a_refused_transaction_changes_nothing_but_its_nonce(
    contract: str, method: str, payload: bytes, code: str
) -> None:
    chain = grown(blocks=1)
    executed = chain.extend(chain.founding.transaction("ada", 5, contract, method, payload))
    (receipt,) = executed.receipts
    assert (receipt.accepted, receipt.code, receipt.events) == (False, code, ())
    assert receipt.reason
    assert {key for key, _ in executed.writes.state} == {b"sys/head", b"sys/nonce/ada", root_key(Height(1))}


def test_a_refusal_leaves_what_earlier_transactions_of_the_block_wrote() -> None:
    chain = MemoryChain(Founding())
    same = [register(chain.founding, "ada", nonce, "one") for nonce in (0, 1)]
    executed = chain.extend(*same, register(chain.founding, "ada", 2, "two"))
    assert [receipt.code for receipt in executed.receipts] == ["ok", "already-registered", "ok"]
    sharing = view(chain.state, "sharing")
    assert [key for key, _ in sharing.scan("data/")] == ["data/ada/one", "data/ada/two"]


def test_building_leaves_out_what_may_not_be_included() -> None:
    chain = grown()
    founding = chain.founding
    good = register(founding, "bob", 0)
    stranger = Founding(("eve",), name="test")
    candidates = [
        register(founding, "ada", 0),  # used in block 1
        register(founding, "cid", 0, valid_until_ms=GENESIS_TIME_MS),
        replace(register(founding, "cid", 1), signature=Signature(bytes(64))),
        register(stranger, "eve", 0),
        register(Founding(name="other"), "cid", 2),
        good,
        good,
        register(founding, "bob", 0, "other"),
    ]
    built = build_block(chain.state, chain.position(), candidates, founding.verify)
    assert [transaction.id for transaction in built.block.transactions] == [good.id]


def test_building_moves_the_time_past_the_parents() -> None:
    chain = grown()
    parent_ms = chain.certified[-1].block.header.time_ms
    built = build_block(chain.state, chain.position(time_ms=5), [], chain.founding.verify)
    assert built.block.header.time_ms == parent_ms + 1
    assert execute(chain, built.block) == built


@pytest.mark.parametrize("field", [field.name for field in fields(Header)])
def test_every_header_field_is_checked(field: str) -> None:
    chain = grown()
    built = chain.build(register(chain.founding, "bob", 0))
    found = getattr(built.block.header, field)
    changed = {
        "author": OrgId("cid"),
        "version": 2,
        "height": found + 1 if field == "height" else None,
        "time_ms": found + 1 if field == "time_ms" else None,
    }.get(field, Digest(bytes(31) + b"\x01"))
    block = Block(
        replace(built.block.header, **{field: changed}), built.block.transactions, built.block.last_certificate
    )
    with pytest.raises(InvalidBlock):
        execute_block(chain.state, chain.position(), block, chain.founding.verify)


def test_a_time_not_after_the_parents_is_refused() -> None:
    chain = grown()
    built = chain.build()
    parent_ms = chain.certified[-1].block.header.time_ms
    block = Block(replace(built.block.header, time_ms=parent_ms), (), built.block.last_certificate)
    with pytest.raises(InvalidBlock, match="not after its parent"):
        execute(chain, block)


def test_an_author_who_is_no_member_is_refused() -> None:
    chain = grown()
    built = chain.build()
    block = Block(replace(built.block.header, author=OrgId("eve")), (), built.block.last_certificate)
    with pytest.raises(InvalidBlock, match="not a member"):
        execute(chain, block)


@pytest.mark.parametrize("wrong", ["none", "height", "block", "kind", "short", "round"])
def test_the_carried_certificate_must_hold_for_the_parent(wrong: str) -> None:
    chain = grown()
    founding, parent = chain.founding, chain.certified[-1].block
    good = founding.certificate(parent.digest, 2)
    certificate = {
        "none": None,
        "height": founding.certificate(parent.digest, 1),
        "block": founding.certificate(Digest(bytes(32)), 2),
        "kind": founding.certificate(parent.digest, 2, kind=VoteKind.PREPARE),
        "short": founding.certificate(parent.digest, 2, orgs=("ada", "bob")),
        "round": replace(good, round=1),
    }[wrong]
    built = chain.build()
    header = replace(built.block.header, last_certificate=certificate_digest(certificate))
    with pytest.raises(InvalidBlock):
        execute(chain, Block(header, (), certificate))


def test_another_valid_certificate_of_the_parent_is_taken() -> None:
    chain = grown()
    founding, parent = chain.founding, chain.certified[-1].block
    other = founding.certificate(parent.digest, 2, orgs=("bob", "cid", "dot"), round_=3)
    header = replace(chain.build().block.header, last_certificate=certificate_digest(other))
    executed = execute(chain, Block(header, (), other))
    assert executed.block.digest == header_digest(header)


@pytest.mark.parametrize("kind", ["replay", "twice", "expired", "signature", "chain", "stranger"])
def test_a_block_with_a_transaction_that_may_not_be_included_is_refused(kind: str) -> None:
    chain = grown()
    founding = chain.founding
    good = register(founding, "bob", 0)
    transactions = {
        "replay": (register(founding, "ada", 1, "new"),),
        "twice": (good, good),
        "expired": (register(founding, "bob", 0, valid_until_ms=GENESIS_TIME_MS + 2_999),),
        "signature": (replace(good, signature=Signature(bytes(64))),),
        "chain": (register(Founding(name="other"), "bob", 0),),
        "stranger": (register(Founding(("eve",)), "eve", 0),),
    }[kind]
    built = chain.build(good)
    with pytest.raises(InvalidBlock, match="may not be included"):
        execute(chain, remade(built, transactions))


def test_the_last_moment_of_a_term_still_counts() -> None:
    chain = MemoryChain(Founding())
    time_ms = chain.position().time_ms
    executed = chain.extend(register(chain.founding, "bob", 0, valid_until_ms=time_ms))
    assert len(executed.receipts) == 1


def test_quotas_bound_a_block() -> None:
    limits = Parameters(block_transactions_max=5, organisation_transactions_max=3)
    chain = MemoryChain(Founding(parameters=limits))
    founding = chain.founding
    many = [register(founding, org, nonce) for nonce in range(6) for org in ("ada", "bob")]
    built = chain.build(*many)
    assert [transaction.body.org for transaction in built.block.transactions] == ["ada", "bob", "ada", "bob", "ada"]
    greedy = tuple(register(founding, "ada", nonce) for nonce in range(4))
    with pytest.raises(InvalidBlock, match="quota"):
        execute(chain, remade(built, greedy))
    long = tuple(register(founding, org, nonce) for nonce in range(2) for org in ("ada", "bob", "cid"))
    with pytest.raises(InvalidBlock, match="more than 5"):
        execute(chain, remade(built, long))


def test_a_block_is_bounded_in_bytes_and_a_smaller_one_still_fits() -> None:
    limits = Parameters(block_bytes_max=100_000)
    chain = MemoryChain(Founding(parameters=limits))
    founding = chain.founding
    big = [founding.transaction("ada", nonce, "sharing", "register", bytes(60_000)) for nonce in range(2)]
    small = register(founding, "bob", 0)
    built = chain.build(*big, small)
    assert [transaction.id for transaction in built.block.transactions] == [big[0].id, small.id]
    with pytest.raises(InvalidBlock, match="block-full"):
        execute(chain, remade(built, tuple(big)))


def test_check_transaction_names_what_is_wrong() -> None:
    chain = grown()
    founding = chain.founding
    now = GENESIS_TIME_MS + 2_000

    def code(transaction: Transaction, members: MemberSet | None = None) -> str:
        try:
            check_transaction(
                chain.state, founding.chain, now, members or founding.members, transaction, founding.verify
            )
        except Unacceptable as error:
            return error.code if error.reason else "no reason given"
        return "fine"

    good = register(founding, "bob", 0)
    assert code(good) == "fine"
    assert code(register(Founding(name="other"), "bob", 0)) == "wrong-chain"
    assert code(good, MemberSet(founding.members.members[2:])) == "not-a-member"
    assert code(register(founding, "bob", 0, valid_until_ms=now)) == "fine"
    assert code(register(founding, "bob", 0, valid_until_ms=now - 1)) == "expired"
    assert code(register(founding, "ada", 1)) == "replay"
    assert code(register(founding, "bob", -1)) == "bad-nonce"
    assert code(founding.transaction("bob", 0, "nowhere", "x")) == "unknown-contract"
    assert code(founding.transaction("bob", 0, "sharing", "x")) == "unknown-method"
    assert code(replace(good, signature=Signature(bytes(64)))) == "bad-signature"
    room = TRANSACTION_BYTES_MAX - len(founding.transaction("bob", 0, "sharing", "register").encoded)
    assert code(founding.transaction("bob", 0, "sharing", "register", bytes(room))) == "fine"
    assert code(founding.transaction("bob", 0, "sharing", "register", bytes(room + 1))) == "too-large"


def test_execution_does_not_touch_the_state_it_reads() -> None:
    chain = grown()
    before = (dict(chain.state.values), dict(chain.state.pages))
    chain.build(register(chain.founding, "bob", 0))
    assert (chain.state.values, chain.state.pages) == before


def test_the_genesis_members_are_in_force() -> None:
    chain = grown()
    assert members_at_head(chain.state) == chain.founding.members
    assert chain.executed[-1].next_members == chain.founding.members


def test_a_position_that_is_not_next_is_our_own_bug() -> None:
    chain = grown()
    position: Position = replace(chain.position(), height=9)
    with pytest.raises(AssertionError):
        build_block(chain.state, position, [], chain.founding.verify)


def frame(chain: MemoryChain) -> Frame:
    place = chain.position()
    return Frame(place.chain, place.height, 5, place.members, place.members, place.parameters, chain.founding.verify)


def _write_then_refuse(context: Context, call: Register) -> None:
    context.put("written", b"1")
    context.delete("there")
    context.emit("happened")
    raise Rejected("changed-my-mind", "Ask another time.")


def _fail(context: Context, call: Register) -> None:
    raise KeyError("a bug")


def test_what_a_contract_wrote_before_it_refused_is_gone() -> None:
    chain = MemoryChain(Founding())
    contracts = {
        "moody": Contract("moody", {"ask": Method(Register, _write_then_refuse), "fail": Method(Register, _fail)})
    }
    overlay = Overlay(chain.state)
    overlay.put(b"moody/there", b"1")
    before = overlay.changes()
    ask = chain.founding.transaction("ada", 0, "moody", "ask", Register("x", COMMITMENT))
    receipt = run_transaction(overlay, contracts, frame(chain), ask)
    assert (receipt.accepted, receipt.code, receipt.events) == (False, "changed-my-mind", ())
    assert overlay.changes() == before

    fail = chain.founding.transaction("ada", 0, "moody", "fail", Register("x", COMMITMENT))
    with pytest.raises(KeyError):
        run_transaction(overlay, contracts, frame(chain), fail)
