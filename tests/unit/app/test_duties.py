"""What a member hands in by itself, and the height to halt at in its folder."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from node.app.duties import WAITING_MAX, Duties
from node.app.halt import read_halt, write_halt
from node.app.settings import SettingsError
from node.base.codec import decode, encode
from node.base.ports import Silence, Writes
from node.base.types import Digest, Height, Instant, OrgId, VoteKind, statement_of
from node.engine.loop import SubmissionRefused
from node.engine.submitter import VALID_MS
from node.ledger.contracts.evidence import Report
from node.ledger.contracts.membership import Recovered
from node.ledger.memory import MemoryState
from node.testing.council import Forge

ORG = OrgId("ada")


@dataclass
class Desk:
    """The duties of one member, with the clock, the silence and the mempool in the test's hands."""

    silence: Silence | None = None
    refuses: bool = False
    now_ms: int = 0
    state: MemoryState = field(default_factory=MemoryState)
    submitted: list[tuple[str, str, bytes]] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.duties = Duties(ORG, self.state, self, self.submit, lambda: self.silence, self.logged.append)

    def now(self) -> Instant:
        return Instant(self.now_ms, 0)

    async def submit(self, contract: str, method: str, payload: bytes) -> Digest:
        if self.refuses:
            raise SubmissionRefused("mempool-full", "Try again later.")
        self.submitted.append((contract, method, payload))
        return Digest(bytes(32))

    async def work(self) -> None:
        """Hand in what waits."""
        running = asyncio.create_task(self.duties.run())
        for _ in range(3 * WAITING_MAX):
            await asyncio.sleep(0)
        running.cancel()


async def test_a_recovery_is_told_until_the_ledger_has_it():
    desk = Desk(Silence(Height(8), recovered_at=Height(7)))
    for now_ms in (0, 1, VALID_MS - 1, VALID_MS, VALID_MS + 1):
        desk.now_ms = now_ms
        desk.duties.look()
    await desk.work()
    assert desk.submitted == [("membership", "recovered", encode(Recovered(Height(7))))] * 2

    desk.state.apply(Writes(((b"membership/recovered/ada/%020d" % 7, b"\x01"),), ()))
    desk.now_ms = 5 * VALID_MS
    desk.duties.look()
    await desk.work()

    assert len(desk.submitted) == 2


@pytest.mark.parametrize("silence", [None, Silence(), Silence(Height(40))])
async def test_where_no_operator_spoke_nothing_is_told(silence):
    desk = Desk(silence)
    desk.duties.look()
    await desk.work()
    assert desk.submitted == []


async def test_evidence_is_handed_in_and_a_refusal_is_logged_and_ends_nothing():
    forge = Forge(4)
    org = forge.orgs[0]
    said = [statement_of(forge.vote(org, VoteKind.COMMIT, forge.block(org, mark=mark))) for mark in (1, 2)]
    desk = Desk(refuses=True)
    desk.duties.report(*said)
    await desk.work()
    assert ["evidence.report was refused" in text for text in desk.logged] == [True]

    desk.refuses = False
    desk.duties.report(*said)
    await desk.work()

    ((contract, method, payload),) = desk.submitted
    assert (contract, method) == ("evidence", "report")
    assert decode(Report, payload) == Report(*said)


async def test_what_waits_is_bounded():
    forge = Forge(4)
    org = forge.orgs[0]
    said = statement_of(forge.vote(org, VoteKind.COMMIT, forge.block(org)))
    desk = Desk()
    for _ in range(WAITING_MAX + 5):
        desk.duties.report(said, said)
    await desk.work()

    assert len(desk.submitted) == WAITING_MAX
    assert len(desk.logged) == 5


def test_a_height_to_halt_at_is_kept_in_the_folder(tmp_path: Path):
    path = tmp_path / "halt-at"
    assert read_halt(path) is None
    write_halt(path, Height(120))
    assert read_halt(path) == 120
    assert path.stat().st_mode & 0o777 == 0o600
    write_halt(path, None)
    write_halt(path, None)
    assert read_halt(path) is None


@pytest.mark.parametrize("text", ["", "soon", "-4", "1.5"])
def test_a_halt_file_that_holds_no_height_is_an_error_in_words(tmp_path: Path, text):
    path = tmp_path / "halt-at"
    path.write_text(text)
    with pytest.raises(SettingsError, match="write a whole number"):
        read_halt(path)
