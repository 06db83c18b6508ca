"""Protocol versions: two nodes use the highest that both speak, and say both ranges when there is none."""

import pytest

from node.base.types import OrgId
from node.edge.transport import RefusalKind
from node.edge.transport.versions import Versions, parse_versions

A, B = OrgId("a"), OrgId("b")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (Versions(1, 1), Versions(1, 2), 1),
        (Versions(1, 2), Versions(2, 3), 2),
        (Versions(1, 1), Versions(2, 2), None),
        (Versions(1, 5), Versions(2, 3), 3),
        (Versions(4, 9), Versions(1, 3), None),
    ],
)
def test_the_highest_common_version_is_the_same_from_both_sides(one, other, common):
    assert one.common(other) == other.common(one) == common


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "2-1", "0-1", "a-b", "1-100000", "٣-٤", "+1-2", "1 - 2"]
)
def test_what_is_no_range_is_refused(text):
    assert parse_versions(text) is None
    assert parse_versions(str(Versions(1, 12))) == Versions(1, 12)


@pytest.mark.parametrize(("first", "second", "common"), [((1, 1), (1, 2), 1), ((1, 2), (2, 3), 2)])
async def test_links_know_their_version(parties, first, second, common):
    a = await parties.start("a", versions=Versions(*first))
    b = await parties.start("b", versions=Versions(*second))

    parties.introduce(a, b)
    await a.linked(b)
    await b.linked(a)

    for party, peer in ((a, B), (b, A)):
        link = party.transport.link(peer)
        assert link is not None
        assert (link.version, link.software.count(".")) == (common, 2)


async def test_without_a_common_version_the_refusal_names_both_ranges(parties):
    a = await parties.start("a", versions=Versions(1, 1))
    b = await parties.start("b", versions=Versions(2, 2))
    parties.introduce(a, b, dial=False)
    a.members.where[B] = (f"127.0.0.1:{b.transport.bound_port}",)

    await b.heard.until(lambda: bool(b.heard.refusals))
    await a.heard.until(lambda: bool(a.heard.refusals))

    assert b.heard.refusals[0].kind is a.heard.refusals[0].kind is RefusalKind.WRONG_VERSION
    for party in (a, b):
        assert "1-1" in party.heard.refusals[0].reason
        assert "2-2" in party.heard.refusals[0].reason
    assert a.transport.link(B) is None
    assert a.heard.links == b.heard.links == []
