"""What training takes from other members, as targets: recipes, statistics, preparations, model files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from node.base.ports import LearnerError
from node.base.types import OrgId
from node.edge.learning.features import statistics_of
from node.edge.learning.modelfile import open_model, write_model
from node.edge.learning.preparation import prepare, read_preparation, write_preparation
from node.edge.learning.recipe import parse_recipe
from node.edge.learning.statistics import combine
from node.edge.learning.table import read_rows

Built = tuple[list[bytes], Callable[[bytes], bool]]

_RECIPE = json.dumps(
    {
        "label": "ill",
        "columns": [
            {"kind": "numeric", "name": "age", "missing": [0]},
            {"kind": "categorical", "name": "sex", "categories": ["f", "m"]},
        ],
        "model": {"kind": "mlp", "hidden": [5, 3]},
        "training": {"epochs": 3, "batch_rows": 8, "optimiser": "sgd", "learning_rate": 0.1},
        "seed": 7,
    }
).encode()
_ROWS = "age,sex,ill\n" + "".join(f"{20 + row},{'fm'[row % 2]},{int(row > 15)}\n" for row in range(30))


def _refused_in_words(work: Callable[[bytes], object], data: bytes) -> bool:
    try:
        work(data)
    except LearnerError:
        return False
    return True


def _statistics(folder: Path) -> bytes:
    path = folder / "rows.csv"
    path.write_text(_ROWS)
    recipe = parse_recipe(_RECIPE)
    return statistics_of(recipe, read_rows(recipe, path, labelled=True))


def recipe(folder: Path) -> Built:
    """A recipe from the ledger."""
    return [_RECIPE], lambda data: _refused_in_words(parse_recipe, data)


def statistics(folder: Path) -> Built:
    """Another member's statistics, combined with one's own."""
    own = _statistics(folder)
    parsed = parse_recipe(_RECIPE)

    def work(data: bytes) -> object:
        blobs: Mapping[OrgId, bytes] = {OrgId("ada"): own, OrgId("bob"): data}
        return write_preparation(prepare(parsed, combine(parsed, blobs)))

    return [own], lambda data: _refused_in_words(work, data)


def _preparation(folder: Path) -> bytes:
    parsed = parse_recipe(_RECIPE)
    return write_preparation(prepare(parsed, combine(parsed, {OrgId("ada"): _statistics(folder)})))


def preparation(folder: Path) -> Built:
    """A preparation inside a model file."""
    return [_preparation(folder)], lambda data: _refused_in_words(read_preparation, data)


def model(folder: Path) -> Built:
    """A model file from another member."""
    plan = _preparation(folder)
    whole = write_model(plan, bytes(4 * read_preparation(plan).length))
    return [whole], lambda data: _refused_in_words(open_model, data)


BUILDERS: dict[str, Callable[[Path], Built]] = {
    "recipe": recipe,
    "statistics": statistics,
    "preparation": preparation,
    "model": model,
}
