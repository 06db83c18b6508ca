"""Rows for the learner from the vault: opened into memory, never in the clear on a disk."""

from pathlib import Path

import pytest

from node.app.commitments import commit_file, keep
from node.app.rows import ApprovedRows, Chosen
from node.app.settings import Folder
from node.app.vaults import vault_of
from node.base.ports import LearnerError
from node.base.types import Digest, Instant, OrgId
from node.edge.storage import KeyName, held_key
from node.edge.vault import open_source
from node.ledger.memory import MemoryState

ORG, JOB = OrgId("ada"), Digest(b"j" * 32)
ROWS = b"age,ill\n" + b"".join(b"%d,%d\n" % (30 + at % 60, at % 2) for at in range(5_000))


class Desk:
    """One member's folder with a vault, and its rows."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.rows = self.started()

    def now(self) -> Instant:
        return Instant(0, 0)

    def vault(self):
        return vault_of(self.folder, ORG, [held_key(KeyName.DATA, 1, bytes(range(32)))])

    def started(self) -> ApprovedRows:
        return ApprovedRows(ORG, self.folder, MemoryState(), self, self.vault)

    def add(self, file: Path, name: str) -> None:
        self.vault().add(open_source(file), name, label="", purpose="", now_ms=1)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "ada")
    file = tmp_path / "rows.csv"
    file.write_bytes(ROWS)
    made.add(file, "patients")
    return made


async def test_a_version_of_the_vault_is_read_through_a_link_and_is_on_no_disk(desk: Desk):
    path = await desk.rows.choose(JOB, Chosen("ada/patients", 1))
    await desk.rows.keep(JOB, Chosen("ada/patients", 1))

    assert path.name == "patients.csv"
    assert path.read_bytes() == ROWS
    assert await desk.rows.path(JOB) == path
    assert not [found for found in desk.folder.root.rglob("*") if found.is_file() and ROWS[:40] in found.read_bytes()]
    assert path.readlink().is_relative_to("/proc")
    await desk.rows.release(JOB)
    await desk.rows.release(JOB)
    assert not path.parent.exists()


async def test_after_a_restart_the_same_version_is_opened_again(desk: Desk):
    await desk.rows.keep(JOB, Chosen("ada/patients", 1))
    again = desk.started()

    assert (await again.path(JOB)).read_bytes() == ROWS
    await again.close()


async def test_a_plain_file_is_used_where_it_lies_and_without_a_choice_there_are_no_rows(desk: Desk):
    with pytest.raises(LearnerError, match="approve it with some"):
        await desk.rows.path(JOB)
    file = desk.folder.root / "rows.csv"
    file.write_bytes(ROWS)
    keep(desk.folder.approvals, JOB.hex(), commit_file(file, "rows.csv", bytes(32)))

    assert await desk.rows.path(JOB) == file


async def test_what_is_no_table_or_not_there_is_refused_in_words(desk: Desk, tmp_path: Path):
    lines = tmp_path / "notes.jsonl"
    lines.write_bytes(b'{"a": 1}\n')
    desk.add(lines, "notes")

    with pytest.raises(LearnerError, match="ada/notes is jsonl"):
        await desk.rows.choose(JOB, Chosen("ada/notes", 1))
    with pytest.raises(LearnerError, match="keeps no data set"):
        await desk.rows.choose(JOB, Chosen("ada/nothing", 1))
