"""A pace lets a burst through, then a steady rate, and forgets nothing but what was saved up."""

from node.edge.transport.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_the_rest_at_the_rate():
    clock = Clock()
    pace = Pace(10, 5, clock)
    assert [pace.allows() for _ in range(7)] == [True] * 5 + [False] * 2

    let_through = 0
    for _ in range(1_000):
        clock.now += 0.01
        let_through += pace.allows()

    assert 99 <= let_through <= 101


def test_moments_ahead_are_handed_out_in_order():
    clock = Clock()
    pace = Pace(10, 2, clock)

    assert [round(pace.next_s(), 3) for _ in range(5)] == [0.0, 0.0, 0.1, 0.2, 0.3]
    clock.now += 100
    assert [round(pace.next_s(), 3) for _ in range(3)] == [0.0, 0.0, 0.1]
