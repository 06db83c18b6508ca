"""What a member keeps on disk: keys, cards and genesis files, the ledger in SQLite, the vote log."""
