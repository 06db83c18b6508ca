"""What is remembered of a peer for its operator."""

from node.base.types import OrgId
from node.edge.transport.readings import CLOCK_WINDOW_S, PeerClock
from node.edge.transport.report import Purpose, Refusal, RefusalKind, Report

OWN, PEER = OrgId("ada"), OrgId("bob")


def test_the_frame_of_least_delay_tells_the_peers_clock():
    clock = PeerClock()
    for delay_ms in (40, 3, 250):
        clock.heard(sent_ms=10_000 + 500 - delay_ms, wall_ms=10_000, mono_s=1.0)

    assert clock.ahead_ms == 497


def test_a_clock_that_was_set_is_noticed_after_two_windows():
    clock = PeerClock()
    clock.heard(sent_ms=15_000, wall_ms=10_000, mono_s=0.0)
    clock.heard(sent_ms=10_000, wall_ms=10_000, mono_s=CLOCK_WINDOW_S)
    before = clock.ahead_ms
    clock.heard(sent_ms=10_001, wall_ms=10_000, mono_s=2 * CLOCK_WINDOW_S)

    assert (before, clock.ahead_ms) == (5_000, 1)


def test_refusals_are_counted_under_a_proven_name_only():
    report = Report(OWN, None)
    report.refuse(Refusal(RefusalKind.WRONG_CHAIN, PEER, PEER, "another chain"))
    report.refuse(Refusal(RefusalKind.NOT_A_MEMBER, OrgId("eve"), None, "a stranger"))

    assert report.refused == {RefusalKind.WRONG_CHAIN: 1, RefusalKind.NOT_A_MEMBER: 1}
    assert report.of(PEER).refused == {"wrong-chain": 1}
    assert report.of(OrgId("eve")).refused == {}


def test_a_frame_without_a_time_tells_no_clock():
    report = Report(OWN, None)
    report.moved(PEER, Purpose.CONTROL, False, 10)
    report.clock(PEER, 0)

    assert report.of(PEER).clock.ahead_ms is None
    assert report.of(PEER).heard_s is not None
