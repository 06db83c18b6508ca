"""The ledger: what a block does to the state, and what anybody can check of that, without clock, chance or disk.

Making: `apply` what a block does, `turn` what its beginning does, `following` one certified block after the other,
`overlay` writes that are not yet committed, `tree` the state's Merkle tree, `system` the ledger's own part of the
state, `memory` a state without a disk. Judging: `genesis` what may found a chain, `cards`, `signers`, `certificates`.
Checking: `proofs` a stored chain from the genesis, `based` one that begins later, `stored` the pieces both share,
`light` from the genesis to any header, `snapshot` the state in parts, `offline` proofs of single things, `audit` what
concerns a data set or an organisation. `contracts` holds the rules themselves; `errors` what can be wrong.
"""
