"""Rows to the model's inputs and to statistics: the one place that knows how a column becomes numbers.

A gap is 0 after standardising, that is the mean, and 1 in the column's own indicator, so that a column that is
wholly empty at one member neither stops it nor moves what the others learn about its values.
"""

from typing import Any, Final

import numpy as np

from node.edge.learning.preparation import Preparation
from node.edge.learning.recipe import Numeric, Recipe
from node.edge.learning.statistics import categories_of, moments, write_blob
from node.edge.learning.table import MISSING, Rows

_TRUTH: Final = {"false": -1.0, "true": 1.0}

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


def features_of(preparation: Preparation, rows: Rows) -> Matrix:
    """float32 of shape (rows, width): the columns in the recipe's order, each followed by its indicator of gaps."""
    matrix: Matrix = np.zeros((rows.count, preparation.width), np.float32)
    place = 0
    for column in preparation.recipe.columns:
        gaps: np.ndarray[Any, np.dtype[np.bool_]]
        if isinstance(column, Numeric):
            values = rows.numeric[column.name]
            gaps = np.isnan(values)
            standard = preparation.numeric[column.name]
            clip = preparation.recipe.clip
            scaled = np.clip((values - standard.mean) / standard.scale, -clip, clip)
            matrix[:, place] = np.where(gaps, 0.0, scaled)
            place += 1
        else:
            codes = rows.codes[column.name]
            gaps = codes == MISSING
            declared = categories_of(column)
            for category in preparation.categories[column.name]:
                here = codes == declared.index(category)
                if column.kind == "boolean":
                    matrix[here, place] = _TRUTH[category]
                else:
                    matrix[here, place] = 1.0
                    place += 1
            place += column.kind == "boolean"
        if column.indicate_missing:
            matrix[:, place] = gaps
            place += 1
    return matrix


def statistics_of(recipe: Recipe, rows: Rows, *, withhold: bool = True) -> bytes:
    """The blob about these rows; see `statistics.write_blob`."""
    numeric = {}
    categories = {}
    for column in recipe.columns:
        if isinstance(column, Numeric):
            values = rows.numeric[column.name]
            present = values[~np.isnan(values)].tolist()
            if present:
                numeric[column.name] = moments(present)
        else:
            codes = rows.codes[column.name]
            declared = categories_of(column)
            counts = np.bincount(codes[codes >= 0], minlength=len(declared)).tolist()
            categories[column.name] = dict(zip(declared, counts, strict=True))
    return write_blob(rows.count, numeric, categories, withhold=withhold)
