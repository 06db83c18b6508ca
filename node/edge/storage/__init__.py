"""What a member keeps on disk.

The ledger: `sqlite` writes it, `reader` reads it, `crown` the upper part of its tree, `snapshots` copies of its state,
`backup` a chain in one file. What was signed: `votelog`. Who it is: `identity` makes keys and card, `keys` are the
files, `keyring` what is open of them, `sealed` what only they open, `genesis` the file that all founders sign. `files`
writes whole or not at all; `errors` what can be wrong.
"""

from node.edge.storage.backup import Kind, backup_block, read_backup, write_backup
from node.edge.storage.errors import FileDamaged, FileError, StoreError
from node.edge.storage.files import PRIVATE_MODE, make_private_folder, write_atomically
from node.edge.storage.genesis import (
    GenesisDraft,
    draft_genesis,
    read_genesis,
    read_genesis_draft,
    sign_genesis,
    write_genesis_draft,
)
from node.edge.storage.identity import (
    check_addresses,
    check_card,
    check_certificate,
    create_keys,
    create_next_key,
    read_card,
    readable_card,
    sign_card,
    write_card,
)
from node.edge.storage.keyring import (
    HeldKey,
    MemberKeys,
    held_key,
    load_data_keys,
    load_member_keys,
    load_organisation_key,
)
from node.edge.storage.keys import KeyName, TlsSecret, read_passphrase
from node.edge.storage.reader import SqliteReader
from node.edge.storage.sealed import FileSealer
from node.edge.storage.snapshots import SnapshotFiles
from node.edge.storage.sqlite import SqliteStore
from node.edge.storage.votelog import FileVoteLog

__all__ = [
    "PRIVATE_MODE",
    "FileDamaged",
    "FileError",
    "FileSealer",
    "FileVoteLog",
    "GenesisDraft",
    "HeldKey",
    "KeyName",
    "Kind",
    "MemberKeys",
    "SnapshotFiles",
    "SqliteReader",
    "SqliteStore",
    "StoreError",
    "TlsSecret",
    "backup_block",
    "check_addresses",
    "check_card",
    "check_certificate",
    "create_keys",
    "create_next_key",
    "draft_genesis",
    "held_key",
    "load_data_keys",
    "load_member_keys",
    "load_organisation_key",
    "make_private_folder",
    "read_backup",
    "read_card",
    "read_genesis",
    "read_genesis_draft",
    "read_passphrase",
    "readable_card",
    "sign_card",
    "sign_genesis",
    "write_atomically",
    "write_backup",
    "write_card",
    "write_genesis_draft",
]
