"""Rule sets made ready to decide: checked, compiled, kept by digest.

What is kept follows from the digest alone, so that a member with another memory comes to the same result, only slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from node.base.expressions import Condition, ExpressionError, Fell, Hit, Ladder, Language, Missed, Number, Reason
from node.base.types import Digest, is_data_name
from node.ledger.contracts.contract import is_text
from node.ledger.contracts.rules.facts import VARIABLES, Facts, values_of
from node.ledger.contracts.rules.types import Decision, Outcome, RuleSet

LINES_MAX = 64
DATES_MAX = 16
DATA_MAX = 64
"""Data sets of one contract."""
WORDS_MAX = 200
"""Characters of a line's words: they stand in receipts."""
SOURCE_CHARACTERS_MAX = 8_192
"""Of all conditions together."""
COST_MAX = 10_000
"""Steps of one decision at the most: about a millisecond."""
COST_OF_COMPILING, COST_PER_LINE, COST_PER_CHARACTER = 10_000, 500, 20
"""What compiling takes, in steps of a tenth of a microsecond: a millisecond for the dates' own language, fifty
microseconds a condition, two a character."""
TIME_MS_LIMIT = 1 << 53
KEPT_MAX = 256
"""Compiled rule sets in memory; each has some ten kilobytes."""

ALLOWED, REFUSED, ERROR, UNDECIDED = "allowed-by-rule", "refused-by-rule", "error-by-rule", "rule-undecided"
_CODES = {Outcome.ALLOW: ALLOWED, Outcome.REFUSE: REFUSED, Outcome.ERROR: ERROR}


class BrokenRules(Exception):
    """A rule set that may not be deployed: our own code, and a sentence that is the same on every member."""

    def __init__(self, code: str, reason: str, line: int = 0, error: ExpressionError | None = None) -> None:
        """`line` counts from 1; `error` says more at the writer's own machine."""
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason
        self.line = line
        self.error = error


@dataclass(frozen=True, slots=True)
class Compiled:
    """A rule set that may decide."""

    rules: RuleSet
    ladder: Ladder

    @property
    def cost(self) -> int:
        """Steps of one decision at the most."""
        return self.ladder.cost

    def decide(self, facts: Facts, contract: str, version: int) -> Decision:
        """What the rules say; always the same to the same facts."""
        values = values_of(facts)
        for date in self.rules.dates:
            values[f"dates.{date.name}"] = date.time_ms
        match self.ladder.climb(values):
            case Hit(index):
                line = self.rules.lines[index]
                return Decision(line.then, contract, version, index + 1, _CODES[line.then], line.words)
            case Missed():
                rest = self.rules.otherwise
                return Decision(rest.then, contract, version, 0, _CODES[rest.then], rest.words)
            case Fell(index):
                words = "the condition came to neither true nor false, which refuses"
                return Decision(Outcome.REFUSE, contract, version, index + 1, UNDECIDED, words)


def compiling_cost(rules: RuleSet) -> int:
    """Steps of compiling it, in order or not: to be paid before."""
    return COST_OF_COMPILING + COST_PER_LINE * len(rules.lines) + COST_PER_CHARACTER * _source_characters(rules)


def _source_characters(rules: RuleSet) -> int:
    """Of all conditions together."""
    return sum(len(line.when) for line in rules.lines)


def compile_rules(rules: RuleSet) -> Compiled:
    """Raises `BrokenRules`."""
    _check_shape(rules)
    language = condition_language(tuple(date.name for date in rules.dates))
    conditions: list[Condition] = []
    for number, line in enumerate(rules.lines, start=1):
        try:
            conditions.append(language.compile(line.when))
        except ExpressionError as error:
            reason = f"The condition of line {number} is refused: {error.sentence}."
            raise BrokenRules(f"rule-{error.reason.value}", reason, number, error) from error
    ladder = Ladder(language, conditions)
    if ladder.cost > COST_MAX:
        reason = f"The conditions may take {ladder.cost} steps together, {COST_MAX} at most are allowed."
        raise BrokenRules(f"rule-{Reason.TOO_COSTLY.value}", reason)
    return Compiled(rules, ladder)


def ready(digest: Digest, load: Callable[[], RuleSet]) -> Compiled:
    """The rule set of this digest, compiled; `load` is asked when it is not kept. Raises `BrokenRules`.

    Of too many, the one that was longest not asked for goes.
    """
    kept = _KEPT.pop(digest, None) or _compiled_or_broken(load())
    _KEPT[digest] = kept
    if len(_KEPT) > KEPT_MAX:
        del _KEPT[next(iter(_KEPT))]
    if isinstance(kept, BrokenRules):
        # Another one, for what is raised holds on to where it was raised.
        raise BrokenRules(kept.code, kept.reason, kept.line)
    return kept


def _compiled_or_broken(rules: RuleSet) -> Compiled | BrokenRules:
    try:
        return compile_rules(rules)
    except BrokenRules as broken:
        return BrokenRules(broken.code, broken.reason, broken.line)


_KEPT: dict[Digest, Compiled | BrokenRules] = {}
"""By digest, from which all else follows; a broken one too, or each who asks would have it compiled again."""


def _check_shape(rules: RuleSet) -> None:
    words = [rules.otherwise.words, *(line.words for line in rules.lines)]
    if not is_data_name(rules.name):
        raise BrokenRules("bad-name", "A contract's name is 1 to 63 of a-z, 0-9, '.', '-' and '_'.")
    if len(rules.data) > DATA_MAX or not _ascending(rules.data) or not all(map(is_data_name, rules.data)):
        reason = f"The data sets are at most {DATA_MAX} names without the owner, ascending, each once."
        raise BrokenRules("bad-data", reason)
    if len(rules.dates) > DATES_MAX or not _ascending(tuple(date.name for date in rules.dates)):
        raise BrokenRules("bad-dates", f"There are at most {DATES_MAX} dates, ascending by name, each once.")
    for date in rules.dates:
        if not _is_word(date.name) or not 0 <= date.time_ms < TIME_MS_LIMIT:
            raise BrokenRules(
                "bad-dates", "A date's name is a word of a-z, 0-9 and '_', its time milliseconds from 1970."
            )
    if len(rules.lines) > LINES_MAX:
        raise BrokenRules("too-many-lines", f"A contract has at most {LINES_MAX} lines.")
    if not all(is_text(text, WORDS_MAX) for text in words):
        raise BrokenRules("bad-words", f"A line's words are one line of at most {WORDS_MAX} characters.")
    if _source_characters(rules) > SOURCE_CHARACTERS_MAX:
        reason = f"The conditions have at most {SOURCE_CHARACTERS_MAX} characters together."
        raise BrokenRules(f"rule-{Reason.TOO_LONG.value}", reason)


def _ascending(names: tuple[str, ...]) -> bool:
    return all(first < second for first, second in pairwise(names))


def _is_word(text: str) -> bool:
    return 0 < len(text) <= 32 and text.isascii() and text.isidentifier() and text == text.lower()


@lru_cache(maxsize=KEPT_MAX)
def condition_language(dates: tuple[str, ...]) -> Language:
    """What conditions are written in, where the contract names these dates."""
    return Language({**VARIABLES, **{f"dates.{name}": Number() for name in dates}})
