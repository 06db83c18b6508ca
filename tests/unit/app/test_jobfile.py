"""What the operator sees of a job whose recipe another member wrote."""

import json

import pytest

from node.app.jobfile import shown_recipe


def test_a_recipe_is_shown_as_it_is():
    assert shown_recipe(b'{"label": "ill"}') == {"label": "ill"}


@pytest.mark.parametrize("recipe", [b"", b"\xff", b"{", b"[" * 30_000, b"9" * 5_000])
def test_a_recipe_that_is_no_json_hides_no_list(recipe):
    assert json.dumps(shown_recipe(recipe)) == "null"
