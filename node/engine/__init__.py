"""One member's engine: the cores put together, and the loop that performs what they decide.

`loop` takes an input, has the replica step, and performs the effects in order. `replica` is consensus, mempool, gossip
and ledger as one step, on its layers: `parts` what they share, `blocks` the member's blocks, `performing` what each
part's effects become, `receiving` what peers send; `replica_io` is what goes in and comes out. Beside them `head` the
place after the last block, `assembly` whole blocks of proposals, `pace` how large a proposal is, `restraint` whether
this member may sign, `remembered` and `verified` what need not be read or verified twice, `writing` one sync for what
one step signs. Before them `guard` judges bytes of peers, `inbox` lets each have its turn. `submitter` makes this
member's transactions; `joining` is a candidate's own part. `sync`, `training` and `transfer` perform what the cores of
these names decide.
"""
