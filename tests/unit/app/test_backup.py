"""Exported, verified, imported, pruned, damaged and put aside: a member's chain as a whole."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.app import backup
from node.app.settings import Folder, SettingsError
from node.base.crypto import Ed25519Signer, digest, verify
from node.base.errors import EXPLAINED
from node.base.types import CEL_VERSION, Digest, Height, OrgId, Parameters
from node.cli.main import lepton
from node.edge.storage import SqliteReader, SqliteStore, write_genesis_draft
from node.edge.storage.errors import FileDamaged, FileError, NotGenuine
from node.edge.storage.identity import make_tls_secret
from node.ledger.contracts.membership import Leave
from node.ledger.contracts.sharing import Register
from node.ledger.errors import ChainBroken, LedgerError, OtherCel
from node.ledger.genesis import genesis_writes
from node.ledger.proofs import verify_chain
from node.testing.founding import Founding, MemoryChain

BLOCKS = 9


class Member:
    """A folder with a chain of nine blocks of five founders, the fifth of which leaves in the third block."""

    def __init__(self, root: Path, *, base: int = 1, cel_version: str = CEL_VERSION) -> None:
        root.mkdir()
        self.folder = Folder(root)
        certificates = {org: make_tls_secret(OrgId(org)).certificate for org in ("ada", "bob", "cid", "dot", "eve")}
        self.founding = Founding(
            tuple(certificates),
            signer=Ed25519Signer,
            verify=verify,
            tls_certificate=lambda org: certificates[org],
            parameters=Parameters(cel_version=cel_version),
        )
        self.genesis = self.founding.genesis
        self.chain = MemoryChain(self.founding)
        write_genesis_draft(
            self.folder.genesis,
            self.founding.body,
            dict(zip(self.founding.organisation_signers, self.genesis.signatures, strict=True)),
        )
        asyncio.run(self._grow(base))

    async def _grow(self, base: int) -> None:
        async with await SqliteStore.open(
            self.folder.ledger, self.founding.chain, genesis_writes(self.genesis)
        ) as store:
            for at in range(BLOCKS):
                call = self.founding.transaction(
                    "ada", at, "sharing", "register", Register(f"d{at}", Digest(digest("x")))
                )
                leave = self.founding.transaction("eve", 0, "membership", "leave", Leave())
                executed = self.chain.extend(*((call, leave) if at == 2 else (call,)))
                await store.commit(self.chain.certified[-1], executed.receipts, executed.writes)
            await store.prune(Height(base))

    def empty(self, name: str) -> Folder:
        """Another member's folder of the same network, without a chain."""
        folder = Folder(self.folder.root.with_name(name))
        folder.root.mkdir()
        folder.genesis.write_bytes(self.folder.genesis.read_bytes())
        return folder

    def export(self) -> Path:
        file = self.folder.root.with_name(f"{self.folder.root.name}.chain")
        if not file.exists():
            assert backup.export_chain(self.folder, self.genesis, file, lambda done, of: None) == BLOCKS
        return file


@pytest.fixture(params=[1, 6], ids=["whole", "pruned"])
def member(request: pytest.FixtureRequest, tmp_path: Path) -> Member:
    return Member(tmp_path / "member", base=request.param)


def quiet(done: int) -> None:
    """No progress is shown."""


def test_an_exported_chain_is_verified_and_imported_to_the_same_head_and_root(member: Member) -> None:
    file = member.export()
    other = member.empty("other")

    found = backup.verify_backup(file, member.genesis, quiet)
    imported = backup.import_chain(other, member.genesis, file, quiet)

    head = member.chain.certified[-1].block
    assert (found.height, found.head_digest, found.state_root) == (BLOCKS, head.digest, head.header.state_root)
    assert imported == found
    reader = SqliteReader(other.ledger)
    assert verify_chain(member.genesis, reader).head_digest == head.digest
    assert dict(reader.stored_state()) == member.chain.state.values
    reader.close()


def test_a_pruned_chain_verifies_from_its_base_on_and_says_so(member: Member) -> None:
    reader = SqliteReader(member.folder.ledger)
    base = reader.base()
    found = verify_chain(member.genesis, reader)
    reader.close()
    assert (found.height, found.base) == (BLOCKS, base)
    assert found.head_digest == member.chain.certified[-1].block.digest


def test_a_folder_with_a_chain_takes_none_and_a_file_is_not_overwritten(member: Member) -> None:
    file = member.export()
    with pytest.raises(SettingsError):
        backup.import_chain(member.folder, member.genesis, file, quiet)
    with pytest.raises(FileExistsError):
        backup.export_chain(member.folder, member.genesis, file, lambda done, of: None)


def test_every_changed_or_missing_byte_of_a_backup_is_refused_and_leaves_no_chain(member: Member) -> None:
    whole = member.export().read_bytes()
    file = member.folder.root.with_name("changed.chain")
    other = member.empty("other")
    step = max(1, len(whole) // 60)
    changes = [whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :] for at in range(0, len(whole), step)]
    changes += [whole[:at] for at in range(0, len(whole), step)] + [whole + b"\x00", b""]
    for content in changes:
        file.write_bytes(content)
        with pytest.raises((FileError, LedgerError)):
            backup.verify_backup(file, member.genesis, quiet)
    for content in changes[::7]:
        file.write_bytes(content)
        with pytest.raises((FileError, LedgerError)):
            backup.import_chain(other, member.genesis, file, quiet)
        assert not other.ledger.exists()
    assert sorted(path.name for path in other.root.iterdir()) == ["daemon.lock", "genesis.json"]


def test_a_backup_of_another_network_is_named(member: Member) -> None:
    genesis = Founding(name="other", signer=Ed25519Signer, verify=verify).genesis
    with pytest.raises(NotGenuine, match="another genesis"):
        backup.verify_backup(member.export(), genesis, quiet)


def test_blocks_in_another_order_are_named_by_height(tmp_path: Path) -> None:
    member = Member(tmp_path / "member")
    whole = member.export().read_bytes()
    at, frames = 15 + 32, []
    while at < len(whole):
        length = int.from_bytes(whole[at + 1 : at + 5], "big")
        frames.append(whole[at : at + 9 + length])
        at += 9 + length
    frames[3], frames[4] = frames[4], frames[3]
    file = tmp_path / "swapped.chain"
    file.write_bytes(whole[: 15 + 32] + b"".join(frames))
    with pytest.raises(ChainBroken, match="height 4"):
        backup.verify_backup(file, member.genesis, quiet)


def test_pruning_keeps_what_was_asked_and_twice_changes_nothing(tmp_path: Path) -> None:
    member = Member(tmp_path / "member")
    assert backup.prune_chain(member.folder, member.genesis, 4) == (1, 6)
    assert backup.prune_chain(member.folder, member.genesis, 4) == (6, 6)
    assert backup.prune_chain(member.folder, member.genesis, 100) == (6, 6)
    assert backup.damage_of(member.folder, member.genesis, quiet) is None


@pytest.mark.parametrize(
    ("change", "height"),
    [
        ("UPDATE blocks SET block = zeroblob(40) WHERE height = 7", 7),
        ("UPDATE blocks SET digest = zeroblob(32) WHERE height = 7", 7),
        ("UPDATE blocks SET certificate = (SELECT certificate FROM blocks WHERE height = 8) WHERE height = 7", 7),
        ("UPDATE receipts SET receipt = zeroblob(40) WHERE height = 8", 8),
        ("DELETE FROM blocks WHERE height = 7", 7),
        ("DELETE FROM transactions WHERE height = 8", 8),
        ("UPDATE state SET value = zeroblob(9) WHERE key = CAST('sharing/data/ada/d1' AS BLOB)", BLOCKS),
        ("DELETE FROM state WHERE key = CAST('sharing/data/ada/d1' AS BLOB)", BLOCKS),
        ("UPDATE pages SET keys = zeroblob(65)", BLOCKS),
        ("UPDATE headers SET header = (SELECT header FROM headers WHERE height = 3) WHERE height = 2", 2),
        ("UPDATE headers SET certificate = (SELECT certificate FROM headers WHERE height = 3) WHERE height = 2", 2),
        ("DELETE FROM headers WHERE height = 4", BLOCKS),
        ("UPDATE meta SET value = 5 WHERE key = 'base'", 5),
        ("UPDATE meta SET value = 7 WHERE key = 'base'", BLOCKS),
    ],
)
def test_damage_of_a_pruned_chain_is_named_by_height(tmp_path: Path, change: str, height: int) -> None:
    member = Member(tmp_path / "member", base=6)
    with sqlite3.connect(member.folder.ledger) as database:
        assert database.execute(change).rowcount > 0
    database.close()
    damage = backup.damage_of(member.folder, member.genesis, quiet)
    assert damage is not None
    assert damage.height == height, damage


def test_a_damaged_database_is_put_aside_with_all_its_files(tmp_path: Path) -> None:
    member = Member(tmp_path / "member")
    first = backup.set_aside(member.folder)
    assert not member.folder.ledger.exists()
    assert (first / "ledger.sqlite").exists()
    assert member.folder.genesis.exists()
    assert backup.set_aside(member.folder) != first


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output of a command, as `main` gives them."""
    result = CliRunner().invoke(lepton, [str(argument) for argument in arguments])
    if isinstance(result.exception, EXPLAINED):
        return 1, str(result.exception)
    return result.exit_code, result.output


def test_the_commands_say_what_they_found_and_exit_with_it(tmp_path: Path) -> None:
    member = Member(tmp_path / "member")
    other, file = member.empty("other"), tmp_path / "a.chain"
    genesis = member.folder.genesis
    root = member.folder.root
    assert run("-d", root, "chain", "export", file, "--json")[0] == 0
    assert run("chain", "verify-backup", file, "--genesis", genesis)[0] == 0
    code, output = run("-d", other.root, "chain", "import", file, "--json")
    assert code == 0
    assert f'"height": {BLOCKS}' in output
    assert run("-d", other.root, "chain", "import", file)[0] == 1
    assert run("-d", root, "chain", "repair", "--json") == (0, '{\n  "damaged": false\n}\n')
    code, output = run("-d", root, "chain", "prune", "--keep", 3, "--json")
    assert (code, '"base": 7' in output) == (0, True)
    code, output = run("-d", root, "chain", "verify")
    assert code == 0
    assert "from height 7 on" in output
    with sqlite3.connect(member.folder.ledger) as database:
        database.execute("UPDATE blocks SET digest = zeroblob(32) WHERE height = 8")
    database.close()
    code, output = run("-d", root, "chain", "repair", "--json")
    assert (code, "height 8" in output) == (1, True)
    assert member.folder.ledger.exists()
    code, output = run("-d", root, "chain", "repair", "--yes", "--json")
    assert (code, '"height": 8' in output) == (0, True)
    assert not member.folder.ledger.exists()


def test_proofs_are_made_and_checked_by_commands(tmp_path: Path) -> None:
    member = Member(tmp_path / "member", base=4)
    root, genesis, file = member.folder.root, member.folder.genesis, tmp_path / "proof.json"
    kept = member.chain.certified[6].block.transactions[0].id.hex()
    assert run("-d", root, "prove", "tx", kept, "--out", file)[0] == 0
    code, output = run("verify", file, "--genesis", genesis)
    assert (code, "ada called sharing.register" in output) == (0, True), output
    assert run("-d", root, "prove", "state", "sharing/data/ada/d1", "--out", file)[0] == 0
    code, output = run("verify", file, "--genesis", genesis, "--json")
    assert (code, '"holds": true' in output) == (0, True)
    file.write_text(file.read_text().replace(f'"height": {BLOCKS}', '"height": 8'))
    assert run("verify", file, "--genesis", genesis)[0] == 1
    pruned = member.chain.certified[1].block.transactions[0].id.hex()
    assert run("-d", root, "prove", "tx", pruned)[0] == 1
    assert run("-d", root, "prove", "tx", "nonsense")[0] == 1


def test_a_file_that_is_no_backup_is_said_so(tmp_path: Path) -> None:
    member = Member(tmp_path / "member")
    file = tmp_path / "x"
    for content in (b"", b"hello", b"lepton chain 1\n"):
        file.write_bytes(content)
        with pytest.raises(FileDamaged, match="no exported chain"):
            backup.verify_backup(file, member.genesis, quiet)


def test_a_chain_that_another_cel_decided_is_not_taken_for_damaged(tmp_path: Path) -> None:
    member = Member(tmp_path / "member", cel_version="0.0.9")
    file = member.export()
    words = r"decided by CEL 0\.0\.9, and here .* is installed"

    with pytest.raises(OtherCel, match=words):
        backup.damage_of(member.folder, member.genesis, quiet)
    with pytest.raises(OtherCel, match=words):
        backup.verify_backup(file, member.genesis, quiet)
    with pytest.raises(OtherCel, match=words):
        backup.import_chain(member.empty("other"), member.genesis, file, quiet)
    for words_of in (("verify",), ("repair", "--yes")):
        done = CliRunner().invoke(lepton, ["--dir", str(member.folder.root), "chain", *words_of])
        assert isinstance(done.exception, OtherCel)
    assert member.folder.ledger.exists()
