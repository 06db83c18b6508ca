"""What a part of the benchmark found, and the JSON made of it."""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

BYTES_PER_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Figure:
    """One number to compare between versions, and the raw numbers that it was made from."""

    name: str
    value: float
    raw: Mapping[str, float] = field(default_factory=dict)
    """By name; the names end in their unit."""


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value with at least `percent` of all values at or below it. Raises `ValueError` for none."""
    if not values:
        raise ValueError("nothing was measured")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def ratio(name: str, over: float, under: float, raw: Mapping[str, float]) -> Figure:
    """`over` / `under`. Raises `ValueError` where that is no number: it was measured wrongly."""
    if not (math.isfinite(over) and math.isfinite(under) and over > 0 and under > 0):
        raise ValueError(f"{name} would be {over} over {under}")
    return Figure(name, over / under, raw)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "memory": round(psutil.virtual_memory().total / BYTES_PER_MB),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def as_json(found: Sequence[Figure], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What `--json` writes."""
    return {
        "machine": dict(machine),
        "figures": {figure.name: figure.value for figure in found},
        "raw": {figure.name: dict(figure.raw) for figure in found},
    }


def _cpu_name() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
