"""The preparation that all members share: recipe, scaling, and the layout of features and tensors.

Responsible for the preparation's canonical JSON, which every member derives byte for byte alike and which the model
file carries. Computing features from rows is left to `features`, first parameters to `initial`.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from node.base.ports import LearnerError
from node.edge.learning.recipe import VALUE_MAX, Categorical, Logistic, Numeric, Part, Recipe, canonical_json, in_words
from node.edge.learning.statistics import Scaling, categories_of

PREPARATION_BYTES_MAX: Final = 4 * 1024 * 1024
PARAMETERS_MAX: Final = 2**26
"""float32 values in one model: 256 MiB."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the model; the flat vector holds the tensors in the order of their names, each row by row."""

    name: str
    shape: tuple[int, ...]

    @property
    def length(self) -> int:
        """Values in it."""
        return math.prod(self.shape)


class Standard(Part):
    """How a numeric column is standardised: (x - mean) / scale."""

    mean: Annotated[float, Field(ge=-2 * VALUE_MAX, le=2 * VALUE_MAX)]
    scale: Annotated[float, Field(gt=0, le=4 * VALUE_MAX)]


class Preparation(Part):
    """What turns raw rows into the model's inputs, and flat parameters into its tensors."""

    version: Literal[1]
    recipe: Recipe
    numeric: dict[str, Standard]
    categories: dict[str, tuple[str, ...]]
    """Per categorical or boolean column the categories that have a feature, in the recipe's order."""
    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = {column.name for column in self.recipe.columns if isinstance(column, Numeric)}
        if set(self.numeric) != names:
            raise ValueError("numeric: must hold the recipe's numeric columns")
        others = {
            column.name: categories_of(column) for column in self.recipe.columns if not isinstance(column, Numeric)
        }
        if set(self.categories) != set(others):
            raise ValueError("categories: must hold the recipe's categorical and boolean columns")
        for name, kept in self.categories.items():
            if kept != tuple(category for category in others[name] if category in kept):
                raise ValueError(f"categories.{name}: must be categories of the recipe in its order")
        layout = lay_out(self.recipe, self.width)
        if self.tensors != tuple((tensor.name, tensor.shape) for tensor in layout):
            raise ValueError("tensors: must be the layout of the recipe's model")
        return self

    @property
    def width(self) -> int:
        """Features per row."""
        width = 0
        for column in self.recipe.columns:
            width += len(self.categories[column.name]) if isinstance(column, Categorical) else 1
            width += column.indicate_missing
        return width

    @property
    def layout(self) -> tuple[Tensor, ...]:
        """The tensors in the order of the flat vector."""
        return tuple(Tensor(name, shape) for name, shape in self.tensors)

    @property
    def length(self) -> int:
        """float32 values in the flat vector."""
        return sum(tensor.length for tensor in self.layout)


def lay_out(recipe: Recipe, width: int) -> tuple[Tensor, ...]:
    """The tensors of the recipe's model over `width` features, by name. Raises `ValueError` for a model too large."""
    hidden = () if isinstance(recipe.model, Logistic) else recipe.model.hidden
    widths = (width, *hidden, 1)
    tensors = []
    for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        tensors.append(Tensor(f"layers.{index}.bias", (outputs,)))
        tensors.append(Tensor(f"layers.{index}.weight", (outputs, inputs)))
    length = sum(tensor.length for tensor in tensors)
    if length > PARAMETERS_MAX:
        raise ValueError(f"model: has {length} parameters, at most {PARAMETERS_MAX} are allowed")
    return tuple(sorted(tensors, key=lambda tensor: tensor.name))


def prepare(recipe: Recipe, scaling: Scaling) -> Preparation:
    """The preparation for a recipe under the members' common scaling. Raises `LearnerError` for a model too large."""
    # The width is known before the tensors are; a form without checks answers it.
    numeric = {name: Standard(mean=mean, scale=scale) for name, (mean, scale) in scaling.numeric.items()}
    categories = dict(scaling.categories)
    draft = Preparation.model_construct(recipe=recipe, numeric=numeric, categories=categories)
    try:
        tensors = tuple((tensor.name, tensor.shape) for tensor in lay_out(recipe, draft.width))
    except ValueError as error:
        raise LearnerError(f"The recipe cannot be used: {error}.") from error
    return Preparation(version=1, recipe=recipe, numeric=numeric, categories=categories, tensors=tensors)


def write_preparation(preparation: Preparation) -> bytes:
    """Its canonical JSON."""
    return canonical_json(preparation.model_dump())


def read_preparation(data: bytes) -> Preparation:
    """The preparation in `data`. Raises `LearnerError` for anything but its canonical form."""
    if len(data) > PREPARATION_BYTES_MAX:
        raise LearnerError(f"The preparation has {len(data)} bytes; at most {PREPARATION_BYTES_MAX} are allowed.")
    try:
        preparation = Preparation.model_validate_json(data)
    except ValidationError as error:
        raise LearnerError(f"The preparation cannot be used: {in_words(error)}.") from error
    if write_preparation(preparation) != data:
        raise LearnerError("The preparation is not in canonical form.")
    return preparation
