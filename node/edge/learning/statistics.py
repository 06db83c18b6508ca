"""What a member tells the others about its rows, and how the members' words become one scaling.

Responsible for the blob of statistics (its form, what it withholds, its checks) and for combining blobs exactly.
Which values are in a column is `table`'s business; what is done with mean and scale is `features`'.

A blob travels point to point and never as a transaction. It is hostile until checked: `read_blob` bounds it, and
`combine` names the member whose blob does not hold together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from node.base.ports import LearnerError
from node.base.types import OrgId
from node.edge.learning.recipe import VALUE_MAX, Boolean, Categorical, Numeric, Part, Recipe, canonical_json, in_words

BLOB_BYTES_MAX: Final = 1024 * 1024
VALUES_MIN: Final = 10
"""Present values that a numeric column needs to be told: three give themselves away by count, sum and squares."""
CATEGORY_ROWS_MIN: Final = 5
ROUNDING: Final = 1e-12
"""A standard deviation below this share of the mean is float64's rounding, not variation."""
ROWS_MAX: Final = 2**40
BOOLEAN_CATEGORIES: Final = ("false", "true")

Count = Annotated[int, Field(ge=0, le=ROWS_MAX)]


class Moments(Part):
    """Count, sum and sum of squares about the member's own mean, of a numeric column's present values."""

    count: Count
    sum: Annotated[float, Field(ge=-VALUE_MAX * ROWS_MAX, le=VALUE_MAX * ROWS_MAX)]
    squares: Annotated[float, Field(ge=0, le=4 * VALUE_MAX * VALUE_MAX * ROWS_MAX)]


class Blob(Part):
    """One member's statistics; a column or category that it withholds or lacks is absent."""

    version: Literal[1]
    rows: Annotated[int, Field(ge=1, le=ROWS_MAX)]
    numeric: dict[str, Moments]
    categories: dict[str, dict[str, Count]]


@dataclass(frozen=True, slots=True)
class Scaling:
    """What all members share: (mean, scale) per numeric column, and the categories that have a feature."""

    numeric: Mapping[str, tuple[float, float]]
    categories: Mapping[str, tuple[str, ...]]


def moments(values: Sequence[float]) -> Moments:
    """Sum up the present values of a column; each correctly rounded, so in any order the same. At least one value."""
    total = math.fsum(values)
    mean = total / len(values)
    return Moments(count=len(values), sum=total, squares=math.fsum((value - mean) ** 2 for value in values))


def write_blob(
    rows: int, numeric: Mapping[str, Moments], categories: Mapping[str, Mapping[str, int]], *, withhold: bool = True
) -> bytes:
    """The blob of a member with `rows` training rows; small groups are left out unless it stays at home."""
    values_min, rows_min = (VALUES_MIN, CATEGORY_ROWS_MIN) if withhold else (1, 1)
    blob = Blob(
        version=1,
        rows=rows,
        numeric={name: column for name, column in numeric.items() if column.count >= values_min},
        categories={
            name: {category: count for category, count in counts.items() if count >= rows_min}
            for name, counts in categories.items()
        },
    )
    return canonical_json(blob.model_dump())


def read_blob(recipe: Recipe, data: bytes, *, withheld: bool = True) -> Blob:
    """A member's statistics, checked against the recipe. Raises `ValueError` with the reason in words."""
    if len(data) > BLOB_BYTES_MAX:
        raise ValueError(f"has {len(data)} bytes, at most {BLOB_BYTES_MAX} are allowed")
    try:
        blob = Blob.model_validate_json(data)
    except ValidationError as error:
        raise ValueError(f"is not in the form of statistics: {in_words(error)}") from error
    if canonical_json(blob.model_dump()) != data:
        raise ValueError("is not in canonical form")
    values_min, rows_min = (VALUES_MIN, CATEGORY_ROWS_MIN) if withheld else (1, 1)
    numeric = {column.name for column in recipe.columns if isinstance(column, Numeric)}
    for name, column in blob.numeric.items():
        if name not in numeric:
            raise ValueError("names a numeric column that the recipe does not declare")
        if not values_min <= column.count <= blob.rows:
            raise ValueError(f"counts {column.count} values in column {name} of {blob.rows} rows")
        if abs(column.sum) > VALUE_MAX * column.count or column.squares > 4 * VALUE_MAX**2 * column.count:
            raise ValueError(f"has a sum or squares in column {name} that {column.count} values cannot have")
    declared = {column.name: categories_of(column) for column in recipe.columns if not isinstance(column, Numeric)}
    for name, counts in blob.categories.items():
        if name not in declared or not set(counts) <= set(declared[name]):
            raise ValueError("names a category that the recipe does not declare")
        if any(count < rows_min for count in counts.values()) or sum(counts.values()) > blob.rows:
            raise ValueError(f"has counts in column {name} that cannot be told or do not add up")
    return blob


def categories_of(column: Categorical | Boolean) -> tuple[str, ...]:
    """The categories that a column's counts may name."""
    return column.categories if isinstance(column, Categorical) else BOOLEAN_CATEGORIES


def combine(recipe: Recipe, blobs: Mapping[OrgId, bytes], *, withheld: bool = True) -> Scaling:
    """One scaling from all members' blobs: byte for byte the same wherever it is computed, in any order of members.

    Raises `LearnerError` naming the member whose blob is false, or the column that nobody has. Without `withheld`
    (one owner's rows that are not shared) a column that nobody has is left without effect instead.
    """
    read = []
    for org in sorted(blobs):
        try:
            read.append(read_blob(recipe, blobs[org], withheld=withheld))
        except ValueError as error:
            raise LearnerError(f"The statistics of member {org} cannot be used: the blob {error}.") from error
    if not read:
        raise LearnerError("There are no statistics to prepare the training from.")
    numeric: dict[str, tuple[float, float]] = {}
    categories: dict[str, tuple[str, ...]] = {}
    for column in recipe.columns:
        if isinstance(column, Numeric):
            parts = [blob.numeric[column.name] for blob in read if column.name in blob.numeric]
            known = bool(parts)
            numeric[column.name] = mean_and_scale(parts)
        else:
            told = {category for blob in read for category in blob.categories.get(column.name, {})}
            known = bool(told)
            categories[column.name] = tuple(name for name in categories_of(column) if name in told)
        if withheld and not known:
            raise LearnerError(
                f"No member has enough values in column {column.name}: leave it out of the recipe "
                f"(a numeric column needs {VALUES_MIN} values at one member, a category {CATEGORY_ROWS_MIN} rows)."
            )
    return Scaling(numeric, categories)


def mean_and_scale(parts: Sequence[Moments]) -> tuple[float, float]:
    """The mean and the population standard deviation of all members' values together; scale 1 where nothing varies.

    Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", here
    in fractions: exact until the last rounding, so neither the members' order nor the processor matters.
    """
    count = sum(part.count for part in parts)
    if not count:
        return 0.0, 1.0
    mean = sum((Fraction(part.sum) for part in parts), Fraction()) / count
    squares = Fraction()
    for part in parts:
        squares += Fraction(part.squares) + part.count * (Fraction(part.sum) / part.count - mean) ** 2
    scale = math.sqrt(float(squares / count))
    if scale <= ROUNDING * abs(float(mean)):
        scale = 1.0
    return float(mean), scale or 1.0
