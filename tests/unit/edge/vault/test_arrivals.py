"""What is on its way into the vault and what is kept for others: remembered, and read from the disk by the next one."""

from functools import partial

import pytest

from node.base.types import Digest
from node.edge.storage import write_atomically
from node.edge.vault import Arrival, Arrivals, Copies, Copy, VaultError
from node.edge.vault.arrivals import ARRIVALS_MAX

WRITE = partial(write_atomically, mode=0o600)


def arrival(number, **given):
    return Arrival(Digest(number.to_bytes(2, "big") * 16), Digest(b"\x02" * 32), "bob/rows", number, "", **given)


def test_arrivals_are_those_that_the_disk_has(tmp_path):
    arrivals = Arrivals(tmp_path, WRITE)
    for number in (3, 1, 2):
        arrivals.keep(arrival(number))
    arrivals.keep(arrival(2, stopped="revoked"))
    arrivals.forget(arrival(3).fetch)

    assert arrivals.all() == [arrival(1), arrival(2, stopped="revoked")]
    assert Arrivals(tmp_path, WRITE).all() == arrivals.all()


def test_an_arrival_that_cannot_be_read_is_left_out(tmp_path):
    arrivals = Arrivals(tmp_path, WRITE)
    arrivals.keep(arrival(1))
    arrivals.keep(arrival(2))
    next(tmp_path.rglob(f"{arrival(1).fetch.hex()}.arrival")).write_bytes(b"torn")

    assert Arrivals(tmp_path, WRITE).all() == [arrival(2)]


def test_what_the_disk_refuses_is_on_no_list(tmp_path):
    def refuse(path, content):
        raise OSError("full")

    arrivals, copies = Arrivals(tmp_path, refuse), Copies(tmp_path, refuse)
    with pytest.raises(OSError, match="full"):
        arrivals.keep(arrival(1))
    with pytest.raises(OSError, match="full"):
        copies.keep(Copy("bob/rows", 1, (), b""))

    assert arrivals.all() == []
    assert copies.all() == []


def test_too_many_are_refused_and_one_may_still_change(tmp_path):
    arrivals = Arrivals(tmp_path, lambda path, content: None)
    for number in range(ARRIVALS_MAX):
        arrivals.keep(arrival(number))
    arrivals.keep(arrival(7, stopped="revoked"))

    with pytest.raises(VaultError, match="wait"):
        arrivals.keep(arrival(ARRIVALS_MAX))


def test_copies_are_those_that_the_disk_has(tmp_path):
    copies = Copies(tmp_path, WRITE)
    for version in (2, 1, 3):
        copies.keep(Copy("bob/rows", version, (Digest(b"\x01" * 32),), b"sealed"))
    copies.forget("bob/rows", 3)

    assert copies.all() == [("bob/rows", 1), ("bob/rows", 2)]
    assert Copies(tmp_path, WRITE).all() == copies.all()
