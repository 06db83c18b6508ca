"""How large a proposal may be: small after trouble, larger again when all is well, never beyond the chain's limit."""

from node.engine.pace import FIRST, LEAST, Pace

MOST = 1_000


def test_full_blocks_of_one_round_let_the_next_grow_up_to_the_chains_limit():
    pace = Pace(MOST)
    sizes = []
    for _ in range(4):
        sizes.append(pace.transactions_max(0))
        pace.decided(0, sizes[-1])

    assert sizes == [FIRST, 2 * FIRST, MOST, MOST]


def test_blocks_that_were_not_full_say_nothing_about_larger_ones():
    pace = Pace(MOST)

    pace.decided(0, FIRST - 1)

    assert pace.transactions_max(0) == FIRST


def test_more_than_one_round_makes_the_next_blocks_much_smaller_but_not_nothing():
    pace = Pace(MOST)
    sizes = []
    for _ in range(4):
        pace.decided(1, 10)
        sizes.append(pace.transactions_max(0))

    assert sizes == [64, LEAST, LEAST, LEAST]


def test_later_rounds_of_one_height_carry_less():
    pace = Pace(MOST)

    assert [pace.transactions_max(round_) for round_ in (0, 1, 2, 1 << 40)] == [FIRST, 64, LEAST, LEAST]


def test_the_chains_own_limit_may_be_below_the_least():
    pace = Pace(5)

    pace.decided(3, 5)

    assert pace.transactions_max(9) == 5
