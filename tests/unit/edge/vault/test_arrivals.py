"""What is on its way into the vault, as its files stand."""

from node.base.types import Digest
from node.edge.storage import write_atomically
from node.edge.vault import Arrival, Arrivals


def test_one_that_has_just_come_is_passed_over(tmp_path):
    arrivals = Arrivals(tmp_path, lambda path, content: write_atomically(path, content, mode=0o600))
    arrival = Arrival(Digest(b"\x01" * 32), Digest(b"\x02" * 32), "bob/rows", 1, "")
    arrivals.keep(arrival)
    # A name that is listed and cannot be opened: so stands a file that goes between the two.
    (folder,) = {path.parent for path in tmp_path.rglob("*.arrival")}
    (folder / f"{'03' * 32}.arrival").symlink_to(folder / "gone")

    assert arrivals.all() == [arrival]
