"""What a training job declares of its data, its model and its training; nothing is guessed from the rows.

Responsible for the recipe's form and its one canonical JSON. Rows are read by `table`, scaled by `preparation`.
A recipe comes from another member: everything in it is bounded, and a field that is not known is refused.
"""

import json
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from node.base.ports import LearnerError

RECIPE_BYTES_MAX: Final = 48 * 1024
COLUMNS_MAX: Final = 512
CATEGORIES_MAX: Final = 1024
VALUE_MAX: Final = 1e30
"""The largest magnitude of a number in a numeric column: its square still sums up in float64 without overflow."""


def _without_line_breaks(text: str) -> str:
    if any(not char.isprintable() for char in text):
        raise ValueError("must not hold control characters")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_without_line_breaks)]
Number = Annotated[float, Field(ge=-VALUE_MAX, le=VALUE_MAX, allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a recipe: immutable, strict in its types, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Numeric(Part):
    """A column of numbers, standardised with the members' common mean and standard deviation."""

    kind: Literal["numeric"]
    name: Text
    unit: Text | None = None
    missing: tuple[Number | Text, ...] = Field(default=(), max_length=16)
    """Values that stand for a gap, besides an empty cell; a text such as "?" may be declared too."""
    transform: Literal["none", "signed_log"] = "none"
    """`signed_log`: sign(x) * log(1 + |x|) before scaling, for amounts that span orders of magnitude."""
    indicate_missing: bool = True
    """Whether the model is told that a value is missing, by a feature of its own."""


class Categorical(Part):
    """A column of names out of a declared list, one feature each."""

    kind: Literal["categorical"]
    name: Text
    categories: tuple[Text, ...] = Field(min_length=1, max_length=CATEGORIES_MAX)
    missing: tuple[Text, ...] = Field(default=(), max_length=16)
    unknown: Literal["count", "refuse"] = "count"
    """A category that is not declared: counted, reported and given no feature; or the data is refused."""
    indicate_missing: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("categories: each must be named once")
        if set(self.categories) & set(self.missing):
            raise ValueError("missing: a category cannot stand for a gap as well")
        return self


class Boolean(Part):
    """A column of yes and no: true, false, 1 or 0."""

    kind: Literal["boolean"]
    name: Text
    indicate_missing: bool = True


Column = Annotated[Numeric | Categorical | Boolean, Field(discriminator="kind")]


class Logistic(Part):
    """Logistic regression: one weight per feature and a bias, all zero at the start."""

    kind: Literal["logistic"]


class Perceptron(Part):
    """A multi-layer perceptron with rectified hidden layers of the given widths."""

    kind: Literal["mlp"]
    hidden: tuple[Annotated[int, Field(ge=1, le=16_384)], ...] = Field(min_length=1, max_length=8)


Model = Annotated[Logistic | Perceptron, Field(discriminator="kind")]


class Training(Part):
    """How a member trains between two averagings."""

    epochs: int = Field(ge=1, le=1000)
    """Passes over the member's rows per training round."""
    batch_rows: int | None = Field(ge=1, le=1_000_000)
    """Rows per step; null takes all rows at once."""
    optimiser: Literal["sgd", "adam"]
    learning_rate: float = Field(gt=0, le=100)
    learning_rate_decay: float = Field(default=1.0, gt=0, le=1)
    """The rate of training round r is learning_rate * learning_rate_decay ** r."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Of `sgd`; it starts anew in every training round."""
    weight_decay: float = Field(default=0.0, ge=0, le=100)
    """Pulls weights, not biases, towards zero: an L2 penalty with `sgd`, decoupled with `adam`."""
    positive_weight: float = Field(default=1.0, gt=0, le=10_000)
    """How much a positive row counts against a negative one."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.momentum and self.optimiser != "sgd":
            raise ValueError("momentum: belongs to the optimiser sgd only")
        return self


class Recipe(Part):
    """Everything that a job fixes about learning."""

    label: Text
    """The column of 0 and 1 to be predicted."""
    columns: tuple[Column, ...] = Field(min_length=1, max_length=COLUMNS_MAX)
    clip: float = Field(default=10.0, gt=0, le=1000)
    """Standardised numbers are cut off at plus and minus this."""
    model: Model
    training: Training
    seed: int = Field(ge=0, lt=2**53)

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"columns: {', '.join(repeated)} declared more than once")
        if self.label in names:
            raise ValueError(f"columns: the label {self.label} cannot be an input as well")
        return self


def parse_recipe(data: bytes) -> Recipe:
    """The recipe in `data` (JSON of any layout). Raises `LearnerError` naming every field that is wrong."""
    if len(data) > RECIPE_BYTES_MAX:
        raise LearnerError(f"The recipe has {len(data)} bytes; at most {RECIPE_BYTES_MAX} are allowed.")
    try:
        return Recipe.model_validate_json(data)
    except ValidationError as error:
        raise LearnerError(f"The recipe cannot be used: {in_words(error)}.") from error


def in_words(error: ValidationError) -> str:
    """The first faults of a document, each with the place where it stands."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False)[:5]:
        place = ".".join(str(step) for step in fault["loc"])
        words = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{place}: {words}" if place else words)
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")


def canonical_json(value: Any) -> bytes:
    """The one JSON form of a document: keys ascending, no spaces, ASCII, floats as `repr` writes them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
