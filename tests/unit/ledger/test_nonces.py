"""The nonce window against a plain set: each nonce once, gaps allowed, old ones refused."""

from hypothesis import given
from hypothesis import strategies as st

from node.base.codec import decode, encode
from node.base.types import NONCE_WINDOW
from node.ledger.system import NonceWindow

NEAR = st.integers(0, 3 * NONCE_WINDOW)
FAR = st.integers(0, 2**63 - 1)


@given(nonces=st.lists(NEAR | FAR, max_size=60))
def test_the_window_is_a_set_that_forgets_only_what_is_too_old(nonces: list[int]) -> None:
    window, used = NonceWindow(), set[int]()
    for nonce in nonces:
        highest = max(used, default=-1)
        refusal = window.refusal(nonce)
        if nonce <= highest - NONCE_WINDOW:
            assert refusal is not None
            assert refusal[0] == "old-nonce"
        elif nonce in used:
            assert refusal is not None
            assert refusal[0] == "replay"
        else:
            assert refusal is None
            window = decode(NonceWindow, encode(window.using(nonce)))
            used.add(nonce)
            assert window.highest == max(used)


def test_the_windows_edges() -> None:
    window = NonceWindow().using(NONCE_WINDOW)
    assert window.refusal(0) is not None
    assert window.refusal(1) is None
    assert window.using(1).refusal(1) is not None
    assert window.refusal(NONCE_WINDOW) is not None
    assert window.refusal(NONCE_WINDOW + 1) is None


def test_a_negative_nonce_is_refused() -> None:
    assert NonceWindow().refusal(-1) is not None
