"""Makes members' folders and a network's genesis: what `lepton init` and `lepton network` do, and clusters do."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from node.app.settings import Folder, Settings, SettingsError, read_settings, write_settings
from node.base.types import Card, Digest, Genesis, OrgId, Parameters, chain_id, is_org_id
from node.edge.storage import (
    FileVoteLog,
    GenesisDraft,
    create_keys,
    draft_genesis,
    load_organisation_key,
    make_private_folder,
    read_card,
    read_genesis,
    read_passphrase,
    sign_genesis,
    write_card,
    write_genesis_draft,
)
from node.ledger.genesis import verify_genesis

PEERS_MAX = 1_024
"""Cards that are read from a member's folder."""

TLS_DAYS = 730
"""How long a new TLS certificate may be used, by block time."""


def create_member(
    root: Path,
    org: str,
    *,
    listen: str,
    addresses: Sequence[str],
    passphrase_file: Path | None,
    prompt: Callable[[], str] | None,
    tls_days: int = TLS_DAYS,
) -> Card:
    """Make folder, settings, keys and card. With port 0 in `listen` the system chooses one, once, for good.

    `tls_days` is the TLS certificate's term from now on. Without `addresses` the card names `listen`.
    Raises `SettingsError`, `FileError`, `OSError`.
    """
    if not is_org_id(org):
        raise SettingsError(f"{org!r} is no name for an organisation: use 1 to 63 of a-z, 0-9, '-' and '_'")
    folder = Folder(root)
    if folder.settings.exists():
        raise SettingsError(f"{root} is a member's folder already; choose another, or delete it to begin anew")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"{listen!r} is not host:port, as in 0.0.0.0:7400")
    if port == "0":
        # Imported where it is used: every command would wait for what gRPC's links are made of.
        from node.edge.transport import free_port

        listen = f"{host}:{free_port()}"
    passphrase = read_passphrase(passphrase_file, prompt)
    make_private_folder(root)
    try:
        until_ms = time.time_ns() // 1_000_000 + tls_days * 24 * 3_600_000
        card = create_keys(root, OrgId(org), tuple(addresses) or (listen,), passphrase, until_ms)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    write_card(folder.card, card)
    write_settings(root, Settings(org=org, listen=listen, passphrase_file=_kept(root, passphrase_file)))
    return card


def _kept(root: Path, passphrase_file: Path | None) -> str | None:
    if passphrase_file is None:
        return None
    resolved = passphrase_file.resolve()
    return str(resolved.relative_to(root.resolve())) if resolved.is_relative_to(root.resolve()) else str(resolved)


def member_passphrase(root: Path, settings: Settings, prompt: Callable[[], str] | None) -> str:
    """The passphrase of the member's keys: from the settings' file, a systemd credential, or the prompt."""
    file = root / settings.passphrase_file if settings.passphrase_file else None
    return read_passphrase(file, prompt)


def draft_network(name: str, cards: Sequence[Path], out: Path, parameters: Parameters) -> GenesisDraft:
    """Write an unsigned genesis of these cards. Raises `FileError`, `SettingsError`."""
    if out.exists():
        raise SettingsError(f"{out} exists already; signatures in it would be lost. Name another file with --out")
    body = draft_genesis(name, time.time_ns() // 1_000_000, [read_card(card) for card in cards], parameters)
    write_genesis_draft(out, body)
    return GenesisDraft(body, {})


def sign_network(root: Path, genesis: Path, prompt: Callable[[], str] | None) -> GenesisDraft:
    """Add this organisation's signature to the genesis file. Raises `FileError`, `SettingsError`."""
    settings = read_settings(root)
    card = read_card(Folder(root).card)
    passphrase = member_passphrase(root, settings, prompt)
    organisation = load_organisation_key(root, passphrase, card.body.organisation_key)
    return sign_genesis(genesis, settings.org_id, organisation)


def install_network(root: Path, genesis_file: Path) -> tuple[Genesis, Digest, bool]:
    """Put the signed genesis into the member's folder with an empty vote log; also whether it is a founder's.

    Who is no founder applies: its daemon dials the founders until they admit its card. A founder's card may be newer
    than the genesis. Raises `FileError`, `SettingsError`.
    """
    settings = read_settings(root)
    folder = Folder(root)
    genesis = read_genesis(genesis_file)
    verify_genesis(genesis)
    mine = next((card for card in genesis.body.cards if card.body.org == settings.org_id), None)
    card = read_card(folder.card)
    if mine is not None and mine.body.organisation_key != card.body.organisation_key:
        raise SettingsError(
            f"{genesis_file} names another organisation {settings.org}; have the founders draft it with {folder.card}, "
            "or join under another name"
        )
    if any(found.exists() for found in (folder.genesis, folder.ledger, folder.votes)):
        raise SettingsError(f"{root} belongs to a network already; use another folder for another network")
    shutil.copyfile(genesis_file, folder.genesis)
    chain = chain_id(genesis.body)
    FileVoteLog.create(folder.votes, chain)
    return genesis, chain, mine is not None


def keep_peers(root: Path, files: Sequence[Path]) -> None:
    """Keep newer cards of peers, each checked, in place of older ones. Raises `FileError`, `OSError`."""
    cards = [read_card(file) for file in files]
    place = Folder(root).peers
    if cards:
        make_private_folder(place)
    for card in cards:
        path = place / f"{card.body.org}.json"
        if not path.exists() or read_card(path).body.sequence < card.body.sequence:
            write_card(path, card)


def kept_peers(root: Path) -> dict[OrgId, Card]:
    """The newer cards of peers that the operator was handed. Raises `FileError`."""
    place = Folder(root).peers
    found = sorted(place.glob("*.json"))[:PEERS_MAX] if place.exists() else []
    return {card.body.org: card for card in map(read_card, found)}
