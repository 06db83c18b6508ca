"""Names of organisations."""

import sys

import pytest

from node.base.types import is_org_id


@pytest.mark.parametrize("name", ["a", "9", "ada", "a-b_c", "x" * 63])
def test_names(name: str) -> None:
    assert is_org_id(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a\n", "é", "x" * 64])
def test_what_is_no_name(name: str) -> None:
    assert not is_org_id(name)


def test_a_text_of_megabytes_is_judged_and_not_kept() -> None:
    sent = "x" * (1 << 20)
    held = sys.getrefcount(sent)
    assert not is_org_id(sent)
    assert sys.getrefcount(sent) == held
