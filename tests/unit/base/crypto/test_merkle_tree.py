"""The kept tree gives the same roots and proofs as the functions of RFC 6962."""

import pytest

from node.base.crypto import MerkleTree, leaf_hash, merkle_root_of_hashes, prove_range, verify_range

HASHES = [leaf_hash(bytes([at])) for at in range(40)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 8, 13, 31, 32, 33, 40])
def test_roots_and_all_range_proofs_equal_those_of_the_plain_functions(size):
    hashes = HASHES[:size]
    tree = MerkleTree(hashes)
    assert tree.root == merkle_root_of_hashes(hashes)
    for start in range(size):
        for stop in range(start + 1, size + 1):
            path = tree.prove_range(start, stop)
            assert path == prove_range(hashes, start, stop)
            assert verify_range(tree.root, size, start, hashes[start:stop], path)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 2), (-1, 2), (0, 6)])
def test_runs_outside_the_tree_are_refused(start, stop):
    with pytest.raises(ValueError, match="no run"):
        MerkleTree(HASHES[:5]).prove_range(start, stop)
