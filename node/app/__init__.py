"""Assembly: one member put together from its folder, the process around it, and the files that people hand it.

`assembly` names every concrete class and makes one member of them; `daemon` is the process around that one, `allocator`
its memory, `alone` that nobody else works on the chain meanwhile. Of the folder, `settings` reads it, `member` makes
it, `backup` takes whole chains in and out, `halt` keeps the height of a halt, `applicants` the cards of strangers,
`versions` says what is installed. Of the running member, `members` says who may connect, `backend` what the operator
may ask (`readings`, `moments` how they write time, `standing` how the member stands, `transfers`, `approving`), `rows`
what it trains on, `duties` what it owes the ledger unasked, `renewal` takes new keys in. Commands use `rotation` for a
new card, `vaults`, `commitments`, `auditing`, `doctor`. The files: `jobfile`, `schemafile`, `contracts`, `prooffile`,
`auditfile`.
"""
