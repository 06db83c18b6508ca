"""Snapshots: cut by the state alone, every piece bound to the genesis, put together to the same tree."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.base.codec import encode
from node.base.crypto import digest
from node.base.ports import Writes
from node.base.types import CertifiedBlock, CertifiedHeader, Digest, Height, Signature
from node.ledger import snapshot, system
from node.ledger.contracts.sharing import Register
from node.ledger.errors import Untrusted
from node.ledger.light import build_path
from node.ledger.memory import MemoryState
from node.ledger.snapshot import SnapshotHead, all_writes, chunk_writes, upper_nodes, verify_head
from node.ledger.tree import state_root, tree_rows, updated
from node.testing.founding import Founding, MemoryChain
from node.testing.signing import verify_hash
from node.testing.snapshots import cut


def whole_tree(state: MemoryState) -> list[tuple[bytes, bytes]]:
    return list(tree_rows(sorted(state.pages.items()), state.crown))


def whole(values: dict[bytes, bytes]) -> MemoryState:
    state = MemoryState()
    changes = tuple(sorted(values.items()))
    tree = updated(state, changes)
    state.apply(Writes(changes, tree.pages, tree.crown))
    return state


@given(
    values=st.dictionaries(st.binary(max_size=3), st.binary(max_size=40), max_size=60), chunk_bytes=st.integers(20, 900)
)
@settings(deadline=None, max_examples=80)
def test_the_parts_put_together_are_the_same_state_and_the_same_tree(
    values: dict[bytes, bytes], chunk_bytes: int
) -> None:
    parts, chunks = cut(values, chunk_bytes)
    state, original = MemoryState(), whole(values)
    for writes in all_writes(parts, iter(chunks)):
        state.apply(writes)
    assert (state.values, whole_tree(state)) == (original.values, whole_tree(original))
    assert upper_nodes(parts)[0] == state_root(original)


BIG = {b"%d" % number: b"v" * 2_000 for number in range(1_000)}


def test_a_large_state_is_cut_into_bounded_parts() -> None:
    parts, chunks = cut(BIG)
    assert len(parts) > 4
    assert max(map(len, chunks)) <= snapshot.CHUNK_BYTES
    for wrong in (chunks[:-1], [*chunks, chunks[0]], chunks[1:]):
        with pytest.raises(Untrusted):
            list(all_writes(parts, iter(wrong)))


def test_a_chunk_of_another_part_or_with_a_changed_byte_is_refused() -> None:
    parts, chunks = cut(BIG)
    with pytest.raises(Untrusted):
        chunk_writes(parts[0], chunks[1])
    for at in (0, 3, 4, 12, len(chunks[0]) // 2, len(chunks[0]) - 1):
        changed = chunks[0][:at] + bytes((chunks[0][at] ^ 1,)) + chunks[0][at + 1 :]
        with pytest.raises(Untrusted):
            chunk_writes(parts[0], changed)
    for data in (b"", chunks[0][:-1], chunks[0] + b"\x00"):
        with pytest.raises(Untrusted):
            chunk_writes(parts[0], data)


def test_parts_that_leave_a_gap_or_overlap_are_refused() -> None:
    parts, _ = cut(BIG)
    wrong = [parts[1:], parts[:-1], (*parts, parts[-1]), (parts[0], *parts), (), (replace(parts[0], depth=60),)]
    wrong.append((parts[1], parts[0], *parts[2:]))
    for given_parts in wrong:
        with pytest.raises(Untrusted):
            upper_nodes(given_parts)


def snapshot_of(chain: MemoryChain) -> SnapshotHead:
    headers = {c.block.header.height: c for c in chain.certified}
    path = build_path(system.set_history(chain.state), lambda h: _header(headers[h]), Height(chain.height))
    parts, _ = cut(chain.state.values)
    return SnapshotHead(path, chain.certified[-1], chain.executed[-1].receipts, parts)


def _header(certified: CertifiedBlock) -> CertifiedHeader:
    return CertifiedHeader(certified.block.header, certified.certificate)


def test_a_head_follows_from_the_genesis_and_nothing_in_it_can_be_changed() -> None:
    chain = MemoryChain(Founding())
    for number in range(3):
        chain.extend(chain.founding.transaction("ada", number, "sharing", "register", Register(f"d{number}", _d())))
    head = snapshot_of(chain)
    genesis = chain.founding.genesis
    assert verify_head(genesis, head, verify_hash).header.height == 3
    assert snapshot.decode_head(encode(head)) == head
    block = head.certified.block
    certificate = head.certified.certificate
    forged = replace(certificate.signatures[0], signature=Signature(bytes(64)))
    wrong = [
        replace(head, parts=(*head.parts[:-1], replace(head.parts[-1], digest=_d()))),
        replace(head, receipts=()),
        replace(head, receipts=head.receipts * 2),
        replace(head, certified=chain.certified[1]),
        replace(head, certified=replace(head.certified, block=replace(block, transactions=()))),
        replace(head, certified=replace(head.certified, block=replace(block, last_certificate=None))),
        replace(
            head,
            certified=replace(
                head.certified, certificate=replace(certificate, signatures=(forged, *certificate.signatures[1:]))
            ),
        ),
        replace(head, path=replace(head.path, target=_header(chain.certified[1]))),
    ]
    for changed in wrong:
        with pytest.raises(Untrusted):
            verify_head(genesis, changed, verify_hash)
    with pytest.raises(Untrusted):
        verify_head(Founding(name="other").genesis, head, verify_hash)
    for data in (b"", encode(head)[:-1], encode(head) + b"\x00", b"\xff" * 100):
        with pytest.raises(Untrusted):
            snapshot.decode_head(data)


def _d() -> Digest:
    return Digest(digest("c"))
