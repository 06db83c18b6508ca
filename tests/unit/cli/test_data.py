"""`lepton data verify` on a member's folder, as an operator types it; no daemon is needed."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from node.app.member import create_member
from node.app.settings import Folder
from node.base.types import Digest, OrgId
from node.cli.main import lepton
from node.edge.storage import make_private_folder, write_atomically
from node.edge.vault import ChunkPlace, chunk_digest
from node.edge.vault.notes import Note


def verify(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(lepton, ["--dir", str(root), "data", "verify", *arguments])


def broken_add(root: Path, place: Path, *chunks: bytes) -> None:
    """What an add leaves that was killed."""
    note = Note(Folder(root).vault / "adding", str(place))
    for chunk in chunks:
        note.put(Digest(chunk_digest(chunk)))
        ChunkPlace(str(place)).put(Digest(chunk_digest(chunk)), chunk)
    note.close()


def test_what_a_broken_add_left_elsewhere_is_deleted_and_told(tmp_path: Path) -> None:
    root, place = tmp_path / "ada", tmp_path / "else"
    make_private_folder(root)
    write_atomically(root / "passphrase", b"words", mode=0o600)
    create_member(
        root, OrgId("ada"), listen="127.0.0.1:0", addresses=(), passphrase_file=root / "passphrase", prompt=None
    )
    broken_add(root, place, b"one", b"two")
    ChunkPlace(str(place)).put(Digest(chunk_digest(b"another vault's")), b"another vault's")

    told, again = verify(root), verify(root)
    broken_add(root, place, b"three")
    as_json = json.loads(verify(root, "--json").stdout)
    note = Note(Folder(root).vault / "adding", "nowhere://x")
    note.close()
    unanswered = verify(root)

    assert f"an add that broke off left up to 2 chunks in {place}: deleted" in told.stdout
    assert "0 versions are whole" in told.stdout
    assert "broke off" not in again.stdout
    assert as_json["strays"] == [{"place": str(place), "deleted": 1, "fault": ""}]
    assert "cannot be deleted now: nowhere://x" in unanswered.stdout
    assert [path.name for path in place.rglob("*") if path.is_file()] == [chunk_digest(b"another vault's").hex()]
    assert note.path.exists()
