"""Hash, sign, verify, seal, Merkle trees. Key files and chance live at the edge.

`hashing` SHA-256 by domain; `signing` Ed25519; `sealing` HPKE; `merkle` the tree of RFC 6962, which is the only one
written by hand: everything else is `cryptography`.
"""

from node.base.crypto.hashing import digest
from node.base.crypto.merkle import (
    MerkleTree,
    leaf_hash,
    merkle_root,
    merkle_root_of_hashes,
    node_hash,
    prove,
    prove_range,
    prove_sides,
    verify_inclusion,
    verify_range,
)
from node.base.crypto.sealing import SealError, open_sealed, open_sealed_with_any, seal
from node.base.crypto.signing import Ed25519Signer, signature_mark, verify

__all__ = [
    "Ed25519Signer",
    "MerkleTree",
    "SealError",
    "digest",
    "leaf_hash",
    "merkle_root",
    "merkle_root_of_hashes",
    "node_hash",
    "open_sealed",
    "open_sealed_with_any",
    "prove",
    "prove_range",
    "prove_sides",
    "seal",
    "signature_mark",
    "verify",
    "verify_inclusion",
    "verify_range",
]
