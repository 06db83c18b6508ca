"""The vault on a real disk: what comes back, what is found, what an interruption leaves."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyarrow import parquet

from node.base.types import Digest, OrgId, PublicKey
from node.edge.storage import PRIVATE_MODE, FileSealer, write_atomically
from node.edge.vault import AlreadyKept, NotKept, Source, SourceRefused, Vault, VaultError, VersionDamaged, open_source
from node.edge.vault.chunks import CHUNK_BYTES
from node.edge.vault.records import Received
from node.edge.vault.sources import SourceFile

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
WORDS = {"label": "Rows", "purpose": "tests", "now_ms": 1_000}


def make_vault(folder: Path, key: X25519PrivateKey = KEY, *earlier: X25519PrivateKey) -> Vault:
    secrets = tuple(each.private_bytes_raw() for each in (key, *earlier))
    public = PublicKey(key.public_key().public_bytes_raw())
    write = partial(write_atomically, mode=PRIVATE_MODE)
    return Vault(folder / "vault", OrgId("ada"), secrets, public, FileSealer(*secrets), write)


def rows(folder: Path, count: int, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text("a,b\n" + "".join(f"{number},x{number * 7919}\n" for number in range(count)))
    return path


def chunk_files(vault: Vault) -> list[Path]:
    return sorted(path for path in Path(vault.default_place).rglob("*") if path.is_file())


@pytest.mark.parametrize("count", [1, 40_000, 200_000])
def test_what_was_added_comes_back_byte_for_byte(tmp_path: Path, count: int) -> None:
    vault, data = make_vault(tmp_path), rows(tmp_path, count)
    version = vault.add(open_source(data), "rows", **WORDS)
    (back,) = vault.extract(version, tmp_path / "back")
    assert back.read_bytes() == data.read_bytes()
    assert len(version.digests) == 2 + (data.stat().st_size - 1) // CHUNK_BYTES
    assert vault.verify(version) == []
    assert not any(b"x7919" in path.read_bytes() for path in chunk_files(vault))


def test_a_folder_of_images_keeps_its_files_and_labels(tmp_path: Path) -> None:
    for name in ("cat/1.png", "cat/2.png", "dog/1.jpg", "dog/empty.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if "empty" in name else name.encode() * 300_000)
    vault = make_vault(tmp_path)
    version = vault.add(open_source(tmp_path / "pets"), "pets", **WORDS)
    vault.extract(version, tmp_path / "back")
    found = _contents(tmp_path / "back")
    assert found == _contents(tmp_path / "pets")
    assert [(column.name, column.type) for column in version.columns] == [("image", "image"), ("label", "string")]


def test_kinds_and_columns(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"n": [1], "t": ["x"]}), tmp_path / "t.parquet")
    np.savez(tmp_path / "a.npz", left=np.zeros((2, 3), np.float32))
    (tmp_path / "l.jsonl").write_text('{"a": 1, "b": null}\n{"a": 2.5, "b": "x"}\n')
    found = {name: open_source(tmp_path / name) for name in ("t.parquet", "a.npz", "l.jsonl")}
    assert [(c.name, c.type) for c in found["t.parquet"].columns] == [("n", "int64"), ("t", "string")]
    assert [(c.name, c.type) for c in found["a.npz"].columns] == [("left", "float32[2,3]")]
    assert [(c.name, c.type) for c in found["l.jsonl"].columns] == [("a", "double|int64"), ("b", "null|string")]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "empty"),
        ("a.txt", b"x", "no kind"),
        ("a.parquet", b"PAR1 not", "no Parquet"),
        ("a.jsonl", b"[1]\n", "no JSON object"),
        ("a.jsonl", b"{\n", "not JSON"),
        ("a.npz", b"PK no", "no NPZ"),
        ("a.csv", b"a,a\n1,2\n", "two columns"),
        ("pets/a.png", b"x", ""),
        ("pets/notes.txt", b"x", "no image"),
    ],
)
def test_what_cannot_be_added_is_refused_in_words(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    given = path.parent if "/" in name else path
    if words:
        with pytest.raises(SourceRefused, match=words):
            open_source(given)
    else:
        assert open_source(given).kind == "images"


def test_arrays_of_python_objects_are_refused_unread(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SourceRefused, match="Python objects"):
        open_source(tmp_path / "a.npz")


def test_the_same_data_are_known_again_and_leave_nothing_behind(tmp_path: Path) -> None:
    vault, data = make_vault(tmp_path), rows(tmp_path, 10)
    vault.add(open_source(data), "rows", **WORDS)
    before = chunk_files(vault)
    with pytest.raises(AlreadyKept, match="version 1 of rows"):
        vault.add(open_source(data), "rows", **WORDS)
    assert chunk_files(vault) == before
    assert vault.records.names() == ["rows"]


def test_versions_have_keys_of_their_own_and_a_history(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    first = vault.add(open_source(rows(tmp_path, 10)), "rows", **WORDS)
    second = vault.add(open_source(rows(tmp_path, 11)), "rows", **WORDS)
    vault.remove(first)
    third = vault.add(open_source(rows(tmp_path, 12)), "rows", **WORDS)
    assert [version.number for version in vault.records.versions("rows")] == [2, 3]
    assert vault.verify(second) == vault.verify(third) == []
    with pytest.raises(NotKept, match="keeps versions 2, 3"):
        vault.records.version("rows", 1)
    assert len({first.sealed_key, second.sealed_key, third.sealed_key}) == 3


def test_removing_the_newest_version_does_not_give_its_number_again(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    vault.remove(vault.add(open_source(rows(tmp_path, 10)), "rows", **WORDS))
    assert vault.add(open_source(rows(tmp_path, 11)), "rows", **WORDS).number == 2


def test_every_damaged_chunk_is_named_and_the_rest_is_not_touched(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    version = vault.add(open_source(rows(tmp_path, 200_000)), "rows", **WORDS)
    whole = vault.add(open_source(rows(tmp_path, 5)), "others", **WORDS)
    place = Path(vault.default_place)
    changed, missing = (version.digests[index].hex() for index in (1, 2))
    path = place / changed[:2] / changed
    path.write_bytes(bytes((path.read_bytes()[0] ^ 1,)) + path.read_bytes()[1:])
    (place / missing[:2] / missing).unlink()
    problems = vault.verify(version)
    assert [problem.chunk for problem in problems] == [1, 2]
    assert "changed" in problems[0].reason
    assert "missing" in problems[1].reason
    assert vault.verify(whole) == []


def test_chunks_do_not_open_at_another_place(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    version = vault.add(open_source(rows(tmp_path, 200_000)), "rows", **WORDS)
    head, first, second, *rest = version.digests
    swapped = dataclasses.replace(version, digests=(head, second, first, *rest))
    cut = dataclasses.replace(version, digests=version.digests[:-1])
    assert [problem.chunk for problem in vault.verify(swapped)] == [1, 2]
    assert [problem.chunk for problem in vault.verify(cut)] == [len(cut.digests) - 1]


def test_a_record_that_was_changed_is_found(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    vault.add(open_source(rows(tmp_path, 10)), "rows", **WORDS)
    (listed,) = (tmp_path / "vault").rglob("*.chunks")
    listed.write_bytes(listed.read_bytes()[:-32] + bytes(32))
    with pytest.raises(VersionDamaged, match="not the one that its root covers"):
        vault.records.version("rows")
    (record,) = (tmp_path / "vault").rglob("*.json")
    record.write_text(json.dumps({"id": 1}))
    with pytest.raises(VersionDamaged, match="cannot be read"):
        vault.records.version("rows")


def test_another_data_key_does_not_open_and_a_renewed_one_does(tmp_path: Path) -> None:
    version = make_vault(tmp_path).add(open_source(rows(tmp_path, 10)), "rows", **WORDS)
    other = X25519PrivateKey.generate()
    with pytest.raises(VersionDamaged, match="none of this member's data keys"):
        make_vault(tmp_path, other).verify(version)
    renewed = make_vault(tmp_path, other, KEY)
    assert renewed.verify(version) == []
    with pytest.raises(AlreadyKept):
        renewed.add(open_source(rows(tmp_path, 10)), "rows", **WORDS)


def test_an_interrupted_adding_leaves_no_version_and_is_swept(tmp_path: Path) -> None:
    vault, data = make_vault(tmp_path), rows(tmp_path, 200_000)
    looked = open_source(data)
    longer = dataclasses.replace(looked, files=(SourceFile(data.name, data.stat().st_size + 1),))
    with pytest.raises(SourceRefused, match="changed while it was read"):
        vault.add(longer, "rows", **WORDS)
    assert chunk_files(vault) == []
    assert vault.records.names() == []
    stray = Path(vault.default_place) / "ab" / ("ab" * 32 + ".draft")
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"left by a process that was killed")
    version = vault.add(looked, "rows", **WORDS)
    assert len(chunk_files(vault)) == len(version.digests)


def test_an_adding_beside_another_is_refused_and_harms_neither(tmp_path: Path) -> None:
    vault, other = make_vault(tmp_path), make_vault(tmp_path)
    refused: list[str] = []

    def beside(count: int) -> None:
        with pytest.raises(VaultError) as caught:
            other.add(open_source(rows(tmp_path, 5, "few.csv")), "few", **WORDS)
        refused.append(str(caught.value))

    version = vault.add(open_source(rows(tmp_path, 10)), "rows", progress=beside, **WORDS)
    assert "another command" in refused[0]
    assert vault.verify(version) == []


def test_chunks_in_another_place_by_url(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    version = vault.add(open_source(rows(tmp_path, 10)), "rows", place="memory://elsewhere/ada", **WORDS)
    assert chunk_files(vault) == []
    assert vault.verify(version) == []
    vault.remove(version)
    assert [problem.chunk for problem in vault.verify(version)] == [0, 1]


def test_a_manifest_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    data = rows(tmp_path, 3)
    evil = Source(data, "csv", (SourceFile("../rows.csv", data.stat().st_size),), open_source(data).columns)

    class Renamed(Source):
        def pieces(self, size: int) -> Iterator[bytes]:
            yield data.read_bytes()

    vault = make_vault(tmp_path)
    version = vault.add(Renamed(evil.root, evil.kind, evil.files, evil.columns), "rows", **WORDS)
    with pytest.raises(VersionDamaged, match="outside"):
        vault.extract(version, tmp_path / "back")


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_read_in_place_also_from_its_end(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    table = pyarrow.table({"n": np.random.default_rng(1).integers(0, 2**62, 800_000)})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=100_000)
    version = vault.add(open_source(tmp_path / "t.parquet"), "t", **WORDS)
    assert len(version.digests) > 3
    with vault.open(version) as file:
        assert parquet.read_table(file).equals(table)
        file.seek(CHUNK_BYTES - 3)
        assert file.read(6) == (tmp_path / "t.parquet").read_bytes()[CHUNK_BYTES - 3 :][:6]
    chunk_files(vault)[0].write_bytes(b"changed")
    with pytest.raises(VersionDamaged), vault.open(version) as file:
        file.read()


@pytest.mark.parametrize(("operation", "may"), [("download", True), ("", True), ("train", False)])
def test_what_was_received_is_written_out_only_where_that_was_for_download(
    tmp_path: Path, operation: str, may: bool
) -> None:
    vault = make_vault(tmp_path)
    own = vault.add(open_source(rows(tmp_path, 10)), "rows", **WORDS)
    place = vault.received_place
    shutil.copytree(vault.default_place, place)
    received = Received(Digest(bytes(32)), Digest(bytes(32)), operation)
    vault.received(OrgId("ada")).keep(dataclasses.replace(own, place=place, received=received))
    (found,) = vault.all_received()
    assert found.received == received
    assert vault.verify(found) == []
    if may:
        assert vault.extract(found, tmp_path / "back")
    else:
        with pytest.raises(VaultError, match="fetched for the operation train"):
            vault.extract(found, tmp_path / "back")
    vault.remove(found)
    assert vault.all_received() == []
    assert vault.verify(own) == []


def test_names_with_an_owner_mean_what_was_received(tmp_path: Path) -> None:
    vault = make_vault(tmp_path)
    assert vault.records_of("rows")[0] is vault.records
    assert vault.records_of("ada/rows")[0] is vault.records
    with pytest.raises(NotKept, match="keeps no data set 'rows'"):
        vault.records_of("bob/rows")[0].version("rows")
    with pytest.raises(NotKept, match="OWNER/NAME"):
        vault.records_of("../x/rows")
