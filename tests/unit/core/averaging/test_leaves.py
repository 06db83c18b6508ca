"""Chunks of leaves: what was committed is accepted, everything else is refused in words."""

from dataclasses import replace

import numpy as np
import pytest

from node.base.codec import decode, encode
from node.base.types import Digest
from node.core.averaging import (
    CHUNK_LEAVES,
    BadChunk,
    CommittedUpdate,
    Result,
    Statement,
    chunk_bounds,
    open_result_chunk,
    open_update_chunk,
    pack24,
    statement_digest,
)
from node.core.averaging.leaves import ResultChunk, UpdateChunk, salt_of

SEED = bytes(range(32))
LEAVES = 11


def update(seed=SEED, leaves=LEAVES):
    values = np.random.default_rng(0).integers(-(2**21), 2**21, leaves * 256, dtype=np.int32)
    return CommittedUpdate(values, seed)


def test_every_run_of_leaves_opens_to_its_values():
    own = update()
    for start in range(LEAVES):
        for stop in range(start + 1, LEAVES + 1):
            after, values = open_update_chunk(own.chunk(start, stop), own.root, LEAVES, start, stop)
            assert after == stop
            assert np.array_equal(values, own.leaves(start, stop))


def test_a_shorter_chunk_moves_on_by_what_it_has():
    own = update()
    after, _ = open_update_chunk(own.chunk(2, 4), own.root, LEAVES, 2, 9)
    assert after == 4


def test_the_seed_hides_equal_updates():
    assert update().root != update(bytes(32)).root
    assert salt_of(SEED, 0) != salt_of(SEED, 1)


def crafted(**change):
    return encode(replace(decode(UpdateChunk, update().chunk(2, 5)), **change))


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (b"nonsense", "not a chunk"),
        (crafted(start=3), "were asked for"),
        (crafted(start=-1), "were asked for"),
        (crafted(values=pack24(np.zeros(3 * 256, dtype=np.int32))), "not the committed"),
        (crafted(values=b""), "whole leaves"),
        (crafted(values=bytes(3 * 255)), "whole leaves"),
        (crafted(values=bytes(10)), "not a chunk"),
        (crafted(values=bytes(3 * 256 * 4)), "whole leaves"),
        (crafted(values=b"\x00\x00\x20" * 768), "22 bits"),
        (crafted(salts=bytes(3 * 16)), "not the committed"),
        (crafted(salts=bytes(16)), "salts"),
        (crafted(proof=()), "not the committed"),
        (crafted(proof=(Digest(bytes(32)),) * 50), "not the committed"),
    ],
)
def test_crafted_chunks_of_an_update_are_refused(chunk, words):
    with pytest.raises(BadChunk, match=words):
        open_update_chunk(chunk, update().root, LEAVES, 2, 5)


def test_a_chunk_of_another_update_is_refused():
    with pytest.raises(BadChunk, match="not the committed"):
        open_update_chunk(update(bytes(32)).chunk(0, 3), update().root, LEAVES, 0, 3)


def test_results_open_to_their_values_and_nothing_else():
    result = Result(np.arange(LEAVES * 256, dtype=np.int32) - 5)
    after, values = open_result_chunk(result.chunk(3, 8), result.root, LEAVES, 3)
    assert after == 8
    assert np.array_equal(values, result.values[3 * 256 : 8 * 256])
    good = decode(ResultChunk, result.chunk(3, 8))
    for bad, words in [
        (replace(good, start=4), "were asked for"),
        (replace(good, values=bytes(len(good.values))), "not those"),
        (replace(good, values=good.values[:-1]), "no int32"),
        (replace(good, values=bytes(4 * 256 * 9)), "whole leaves"),
    ]:
        with pytest.raises(BadChunk, match=words):
            open_result_chunk(encode(bad), result.root, LEAVES, 3)
    with pytest.raises(BadChunk, match="not a chunk"):
        open_result_chunk(b"", result.root, LEAVES, 0)


def test_an_empty_result_has_a_root():
    assert Result(np.zeros(0, dtype=np.int32)).root == Result(np.zeros(0, dtype=np.int32)).root


def test_chunks_cover_a_run_once_and_fit_a_transfer():
    bounds = list(chunk_bounds(5, 5 + 2 * CHUNK_LEAVES + 1))
    assert bounds[0][0] == 5
    assert [stop for _, stop in bounds[:-1]] == [start for start, _ in bounds[1:]]
    assert bounds[-1][1] == 5 + 2 * CHUNK_LEAVES + 1
    big = Result(np.zeros(CHUNK_LEAVES * 256, dtype=np.int32))
    assert len(big.chunk(0, CHUNK_LEAVES)) < (1 << 20) - 1024


def test_the_salt_changes_a_statements_digest():
    assert statement_digest(Statement(bytes(32), b"x")) != statement_digest(Statement(bytes(31) + b"1", b"x"))
