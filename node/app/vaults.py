"""Opens a member's vault for commands, and makes of a version what the ledger learns of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from node.app.member import member_passphrase
from node.app.settings import Folder, read_settings
from node.base.types import OrgId, PublicKey
from node.edge.storage import PRIVATE_MODE, FileSealer, HeldKey, load_data_keys, write_atomically
from node.edge.vault import Vault, Version
from node.ledger.contracts.sharing import COLUMNS_MAX, Column, Description, Register


def open_vault(root: Path, prompt: Callable[[], str] | None) -> Vault:
    """The vault of the member in `root`. Raises `SettingsError`, `FileError`."""
    settings = read_settings(root)
    keys = load_data_keys(root, member_passphrase(root, settings, prompt))
    return vault_of(Folder(root), settings.org_id, keys)


def vault_of(folder: Folder, org: OrgId, keys: Sequence[HeldKey]) -> Vault:
    """The vault in the member's folder, under these data keys, newest first."""
    secrets = tuple(key.secret for key in keys)
    return Vault(folder.vault, org, secrets, PublicKey(keys[0].public), FileSealer(*secrets), write_private)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file of the vault. Raises `OSError`."""
    write_atomically(path, content, mode=PRIVATE_MODE)


def registration(version: Version, schema: str | None = None) -> Register:
    """What puts the version on the ledger; `schema` is that which its rows were held against."""
    columns = tuple(Column(column.name, column.type) for column in version.columns[:COLUMNS_MAX])
    description = Description(
        version.kind, version.label, version.purpose, version.plain_bytes, len(version.digests), columns, schema
    )
    return Register(version.name, version.root, description)
