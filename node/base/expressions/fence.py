"""Which checked expressions may be evaluated, and what one may cost.

An allow-list over the checked syntax tree: what is not named here is refused, so that a part of CEL that a later
version brings is outside until somebody lets it in. Outside are, and why:

- doubles, and whatever gives them: processors round them differently;
- `dyn`, null, messages, unsigned numbers, bytes: their types are known only while they are evaluated;
- maps: their order differs between processes; so no expression can go through one;
- `map`, `filter`, `exists_one` and any loop that collects: only `exists` and `all` over a list give a truth;
- times, durations, time zones: their tables differ between machines; a time is a whole number of milliseconds;
- regular expressions and conversions: their edges differ between versions of libraries.

A loop over a list of at most k items counts k times. What an expression costs follows from its tree and from the
greatest sizes of the variables, never from their values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from node._proto.expression_pb2 import Checked, Node
from node.base.expressions.errors import ExpressionError, Place, Reason

BYTES_PER_STEP = 64
"""Bytes that are compared or copied in the time of one step."""
DEPTH_MAX = 64
"""The library's own bound is lower; this one keeps the walk safe whatever it becomes."""
COST_MAX = 10_000
"""Steps of one expression: about a millisecond."""

_BOOL, _INT, _STRING = 1, 2, 5

_CHEAP = frozenset(
    {
        *("logical_and", "logical_or", "logical_not", "not_strictly_false", "conditional"),
        *(f"{operation}_int64" for operation in ("add", "subtract", "multiply", "divide", "modulo", "negate")),
        *(f"{order}_int64" for order in ("less", "less_equals", "greater", "greater_equals")),
        *("index_list", "size_list", "list_size"),
    }
)
"""Overloads that take one step."""
_READING = frozenset(
    {
        *("equals", "not_equals", "starts_with_string", "ends_with_string", "size_string", "string_size"),
        *(f"{order}_string" for order in ("less", "less_equals", "greater", "greater_equals")),
    }
)
"""Overloads that read their operands once."""
_ADD_STRING, _IN_LIST, _CONTAINS = "add_string", "in_list", "contains_string"
_ALLOWED = _CHEAP | _READING | {_ADD_STRING, _IN_LIST, _CONTAINS}


@dataclass(frozen=True, slots=True)
class Size:
    """How large a value may be."""

    bytes_max: int = 0
    """Of a text, or of each item of a list."""
    items_max: int | None = None
    """None for what is no list."""

    @property
    def steps(self) -> int:
        """What reading it takes."""
        items = 1 if self.items_max is None else self.items_max
        return items * (1 + self.bytes_max // BYTES_PER_STEP)


@dataclass(frozen=True, slots=True)
class Walked:
    """What the walk found."""

    variables: frozenset[str]
    cost: int


def walk(checked: Checked, text: str, sizes: Mapping[str, Size]) -> Walked:
    """Raises `ExpressionError` for what is outside. `text` is only for saying where."""
    walk = _Walk(checked, text, sizes)
    root = walk.cost(checked.expr, {}, 0)[0]
    if checked.type_map[checked.expr.id].primitive != _BOOL:
        words = "the expression's value is not true or false: compare something"
        raise ExpressionError(Reason.NOT_A_CONDITION, words)
    if root > COST_MAX:
        words = f"the expression may take {root:,} steps, {COST_MAX:,} at most are allowed"
        raise ExpressionError(Reason.TOO_COSTLY, words)
    return Walked(frozenset(walk.read), root)


_Scope = Mapping[str, Size]


@dataclass(slots=True)
class _Walk:
    checked: Checked
    text: str
    sizes: Mapping[str, Size]
    read: set[str] = field(default_factory=set)

    def cost(self, node: Node, scope: _Scope, depth: int) -> tuple[int, Size]:
        """(steps at the most, how large the value is at the most)."""
        if depth > DEPTH_MAX:
            raise self._outside(node, "the expression is nested too deeply")
        self._check_type(node)
        match node.WhichOneof("kind"):
            case "const_expr":
                return self._constant(node)
            case "ident_expr":
                return self._name(node, scope)
            case "call_expr":
                return self._call(node, scope, depth)
            case "list_expr":
                return self._list(node, scope, depth)
            case "comprehension_expr":
                return self._loop(node, scope, depth)
            case _:
                raise self._outside(node, "maps, messages and their fields are not allowed")

    def _check_type(self, node: Node) -> None:
        if node.id not in self.checked.type_map:
            raise self._outside(node, "a part of the expression has no type")
        found = self.checked.type_map[node.id]
        scalar = found.list_type.elem_type if found.WhichOneof("kind") == "list_type" else found
        if scalar.WhichOneof("kind") != "primitive" or scalar.primitive not in (_BOOL, _INT, _STRING):
            words = "only true and false, whole numbers, texts and lists of them are allowed"
            raise self._outside(node, f"{words} (an empty list has no type: say size(...) == 0)")

    def _constant(self, node: Node) -> tuple[int, Size]:
        kind = node.const_expr.WhichOneof("kind")
        if kind is None:
            raise self._outside(node, "only whole numbers, texts, true and false may be written as constants")
        return 1, Size(len(node.const_expr.string_value.encode()))

    def _name(self, node: Node, scope: _Scope) -> tuple[int, Size]:
        name = node.ident_expr.name
        if name in scope:
            return 1, scope[name]
        if name not in self.sizes:
            raise self._outside(node, f"{name} is no variable: types and the like are not allowed")
        self.read.add(name)
        return 1, self.sizes[name]

    def _list(self, node: Node, scope: _Scope, depth: int) -> tuple[int, Size]:
        if node.list_expr.optional_indices:
            raise self._outside(node, "optional items are not allowed")
        items = [self.cost(item, scope, depth + 1) for item in node.list_expr.elements]
        largest = max((size.bytes_max for _, size in items), default=0)
        return 1 + sum(steps for steps, _ in items), Size(largest, len(items))

    def _call(self, node: Node, scope: _Scope, depth: int) -> tuple[int, Size]:
        call = node.call_expr
        overloads = self.checked.reference_map[node.id].overload_id if node.id in self.checked.reference_map else ()
        if not overloads or any(overload not in _ALLOWED for overload in overloads):
            raise self._outside(node, f"{_shown(call.function)} is not allowed here")
        operands = [*([call.target] if call.HasField("target") else []), *call.args]
        parts = [self.cost(operand, scope, depth + 1) for operand in operands]
        sizes = [size for _, size in parts]
        work, result = max((_work(overload, sizes) for overload in overloads), key=lambda found: found[0])
        return sum(steps for steps, _ in parts) + work, result

    def _loop(self, node: Node, scope: _Scope, depth: int) -> tuple[int, Size]:
        """Only what `exists` and `all` expand to: an accumulator that is true or false."""
        loop = node.comprehension_expr
        if loop.iter_var2 or loop.accu_init.const_expr.WhichOneof("kind") != "bool_value":
            raise self._outside(node, "of the loops only exists and all are allowed")
        steps, range_size = self.cost(loop.iter_range, scope, depth + 1)
        if range_size.items_max is None:
            raise self._outside(node, "a loop goes over a list")
        outer = {**scope, loop.accu_var: Size()}
        inner = {**outer, loop.iter_var: Size(range_size.bytes_max)}
        start, _ = self.cost(loop.accu_init, scope, depth + 1)
        each = sum(self.cost(part, inner, depth + 1)[0] for part in (loop.loop_condition, loop.loop_step))
        end, _ = self.cost(loop.result, outer, depth + 1)
        return steps + start + end + range_size.items_max * each, Size()

    def _outside(self, node: Node, words: str) -> ExpressionError:
        return ExpressionError(Reason.FENCE, words, self._place(node))

    def _place(self, node: Node) -> Place | None:
        positions = self.checked.source_info.positions
        if node.id not in positions:
            return None
        before = self.text[: positions[node.id]]
        return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _work(overload: str, sizes: list[Size]) -> tuple[int, Size]:
    """(steps of the call itself, its value's size)."""
    if overload == "index_list":
        return 1, replace(sizes[0], items_max=None)
    if overload == "conditional":
        lists = [size.items_max for size in sizes[1:] if size.items_max is not None]
        return 1, Size(max(size.bytes_max for size in sizes[1:]), max(lists, default=None))
    if overload in _CHEAP:
        return 1, Size()
    if overload == _ADD_STRING:
        together = Size(sum(size.bytes_max for size in sizes))
        return together.steps, together
    if overload == _CONTAINS:
        # The library looks at each place anew.
        return 1 + sizes[0].bytes_max * max(1, sizes[1].bytes_max) // BYTES_PER_STEP, Size()
    if overload == _IN_LIST:
        return sizes[1].steps, Size()
    return sum(size.steps for size in sizes), Size()


def _shown(function: str) -> str:
    """An operator's name as it is written."""
    return function.strip("_@") or function
