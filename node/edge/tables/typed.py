"""Cells as the types that a schema knows: what is missing, what the value is, what is none of the type.

The same forms as in training: true, false, 1 and 0 are boolean; 63.0 is an integer; an empty cell, null and NaN are
missing. No space around a value, no thousands separator, no comma for a point: those are for conversions to mend.
"""

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

ARROW: Final = {
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "text": pa.string(),
    "date": pa.date32(),
    "time": pa.timestamp("us", "UTC"),
}
_EXACT: Final = float(1 << 53)
_TRUE: Final = pa.array(["true", "1", "1.0"])
_BOOLEAN: Final = pa.array(["true", "1", "1.0", "false", "0", "0.0"])
_INTEGER: Final = r"^-?[0-9]{1,18}(\.0+)?$"
_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})"
_TIME: Final = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}{_ZONE}?$"


def plain(cells: Any) -> Any:
    """The cells without dictionaries and variants of text; NaN is null."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type):
        return cells.cast(pa.string())
    if pa.types.is_null(cells.type):
        return cells.cast(pa.string())
    if pa.types.is_decimal(cells.type) or pa.types.is_float16(cells.type) or pa.types.is_float32(cells.type):
        cells = cells.cast(pa.float64())
    if pa.types.is_floating(cells.type):
        return pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    return cells


def typed(kind: str, cells: Any) -> tuple[Any, Any]:
    """(values, wrong) of `plain` cells: `values` of the type `ARROW[kind]`, null where missing or wrong."""
    if cells.type == ARROW[kind]:
        return _finite(cells) if kind == "number" else (cells, _none(cells))
    if pa.types.is_string(cells.type):
        return _from_text(kind, cells)
    return _from_typed(kind, cells)


def as_text(cells: Any) -> Any:
    """`plain` cells as text, for categories and for mapping; null stays null, and so does what has no text."""
    if pa.types.is_string(cells.type):
        return cells
    try:
        return cells.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(len(cells), pa.string())


def _none(cells: Any) -> Any:
    return pa.repeat(pa.scalar(False), len(cells))


def _kept(cells: Any, good: Any) -> tuple[Any, Any]:
    """The good cells, and which of those that are there are not."""
    good = pc.fill_null(good, False)
    wrong = pc.and_(pc.is_valid(cells), pc.invert(good))
    return pc.if_else(good, cells, pa.scalar(None, cells.type)), wrong


def _finite(cells: Any) -> tuple[Any, Any]:
    return _kept(cells, pc.is_finite(cells))


def _from_text(kind: str, cells: Any) -> tuple[Any, Any]:
    match kind:
        case "boolean":
            lower = pc.utf8_lower(cells)
            kept, wrong = _kept(lower, pc.is_in(lower, value_set=_BOOLEAN))
            truths = pc.is_in(kept, value_set=_TRUE)
            return pc.if_else(pc.is_valid(kept), truths, pa.scalar(None, pa.bool_())), wrong
        case "integer":
            kept, wrong = _kept(cells, pc.match_substring_regex(cells, _INTEGER))
            return _without(kept, ".", r"\.0+$").cast(pa.int64()), wrong
        case "number":
            kept, wrong = _kept(cells, pc.match_substring_regex(cells, _NUMBER))
            values, infinite = _finite(_without(kept, "+", r"^\+").cast(pa.float64()))
            return values, pc.or_(wrong, infinite)
        case "date":
            kept, wrong = _kept(cells, _is_day(cells))
            return kept.cast(pa.date32()), wrong
        case "time":
            days = pc.utf8_slice_codeunits(cells, 0, 10)
            kept, wrong = _kept(cells, pc.and_(pc.match_substring_regex(cells, _TIME), _is_day(days)))
            zoned = pc.fill_null(pc.match_substring_regex(kept, f"{_ZONE}$"), True)
            return pc.if_else(zoned, kept, pc.binary_join_element_wise(kept, "Z", "")).cast(ARROW["time"]), wrong
        case _:
            return cells, _none(cells)


def _without(cells: Any, sign: str, pattern: str) -> Any:
    """The texts without what matches; most columns have no such sign, and a search for it is ten times as fast."""
    found = pc.any(pc.match_substring(cells, sign)).as_py()
    return pc.replace_substring_regex(cells, pattern, "") if found else cells


def _is_day(cells: Any) -> Any:
    """Whether the text is a day of the calendar; the library reads 30 February as 2 March."""
    days = pc.strptime(cells, "%Y-%m-%d", "s", error_is_null=True)
    return pc.fill_null(pc.equal(pc.strftime(days, "%Y-%m-%d"), cells), False)


def _from_typed(kind: str, cells: Any) -> tuple[Any, Any]:
    """Cells of a Parquet file that have another type than the schema's."""
    type_ = cells.type
    numeric = pa.types.is_integer(type_) or pa.types.is_floating(type_)
    if kind == "text" and (numeric or pa.types.is_boolean(type_) or pa.types.is_temporal(type_)):
        return as_text(cells), _none(cells)
    if kind == "number" and numeric:
        return _finite(cells.cast(pa.float64(), safe=False))
    if kind in ("integer", "boolean") and (numeric or pa.types.is_boolean(type_)):
        return _whole(kind, cells)
    if kind == "time" and (pa.types.is_timestamp(type_) or pa.types.is_date(type_)):
        moments = cells.cast(pa.timestamp("us"), safe=False) if pa.types.is_date(type_) else cells
        return moments.cast(ARROW["time"], safe=False), _none(cells)
    if kind == "date" and pa.types.is_date(type_):
        return cells.cast(pa.date32()), _none(cells)
    return pa.nulls(len(cells), ARROW[kind]), pc.is_valid(cells)


def _whole(kind: str, cells: Any) -> tuple[Any, Any]:
    if pa.types.is_boolean(cells.type):
        return cells.cast(pa.int64()), _none(cells)
    if pa.types.is_floating(cells.type):
        cells = cells.cast(pa.float64())
        whole = pc.and_(pc.equal(cells, pc.floor(cells)), pc.less_equal(pc.abs(cells), _EXACT))
        cells, wrong = _kept(cells, whole)
    else:
        limit = pa.scalar((1 << 63) - 1, pa.uint64()) if pa.types.is_uint64(cells.type) else None
        cells, wrong = _kept(cells, pc.less_equal(cells, limit)) if limit is not None else (cells, _none(cells))
    values = cells.cast(pa.int64())
    if kind == "integer":
        return values, wrong
    kept, other = _kept(values, pc.and_(pc.greater_equal(values, 0), pc.less_equal(values, 1)))
    return kept.cast(pa.bool_()), pc.or_(wrong, other)
