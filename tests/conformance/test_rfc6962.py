"""The Merkle tree against the reference values of Certificate Transparency (RFC 6962, 2.1)."""

import pytest

from node.base.crypto import leaf_hash, merkle_root, prove, verify_inclusion

# The inputs and roots of the Certificate Transparency project's own tests.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_audit_paths(index: int, size: int) -> None:
    assert [step.hex() for step in prove(LEAVES[:size], index)] == PATHS[index, size]


@pytest.mark.parametrize("size", range(1, 9))
def test_every_leaf_of_every_tree_proves_itself_and_nothing_else(size: int) -> None:
    leaves, root = LEAVES[:size], bytes.fromhex(ROOTS[size])
    for index, leaf in enumerate(leaves):
        path = prove(leaves, index)
        assert verify_inclusion(root, leaf, index, size, path)
        assert not verify_inclusion(root, leaf + b"\x00", index, size, path)
        assert not verify_inclusion(root, leaf, index, size, [*path, bytes(32)])
        assert not verify_inclusion(root, leaf, index, size, path[:-1]) or not path
        assert not any(verify_inclusion(root, leaf, other, size, path) for other in range(size) if other != index)


def test_a_node_is_no_leaf() -> None:
    inner = leaf_hash(LEAVES[0]) + leaf_hash(LEAVES[1])
    root = bytes.fromhex(ROOTS[4])
    assert not verify_inclusion(root, inner, 0, 2, [leaf_hash(LEAVES[2])])
    assert merkle_root([inner, LEAVES[2] + LEAVES[3]]).hex() != ROOTS[4]
