"""The rooms that decide may not touch the world: no clock, chance, files, threads, sockets, databases, asyncio."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = ["node/base/types", "node/base/codec", "node/base/expressions", "node/ledger", "node/core"]

FORBIDDEN_MODULES = {
    "aiosqlite",
    "asyncio",
    "concurrent",
    "grpc",
    "io",
    "multiprocessing",
    "os",
    "pathlib",
    "pickle",
    "random",
    "secrets",
    "select",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "torch",
    "uuid",
    "uvloop",
}
FORBIDDEN_CALLS = {"open", "hash", "eval", "exec", "__import__", "input", "print"}
ALLOWED_CALLS = {("node/base/codec/hints.py", "exec")}
"""The codec makes its readers and writers as source, from the names of our own types, as `dataclasses` does."""
FORBIDDEN_ATTRIBUTES = {("np", "random"), ("numpy", "random"), ("datetime", "now"), ("datetime", "utcnow")}


def violations(source: str, name: str) -> list[str]:
    """Every forbidden import, call and attribute of one file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                imported = [alias.name for alias in names]
            case ast.ImportFrom(module=module) if module:
                imported = [module, *(f"{module}.{alias.name}" for alias in node.names)]
            case ast.Call(func=ast.Name(id=called)) if (
                called in FORBIDDEN_CALLS and (name, called) not in ALLOWED_CALLS
            ):
                found.append(f"{name}:{node.lineno} calls {called}()")
                continue
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if (owner, attribute) in FORBIDDEN_ATTRIBUTES:
                found.append(f"{name}:{node.lineno} uses {owner}.{attribute}")
                continue
            case _:
                continue
        found += [
            f"{name}:{node.lineno} imports {module}"
            for module in imported
            if module.split(".")[0] in FORBIDDEN_MODULES or module.startswith("numpy.random")
        ]
    return found


@pytest.mark.parametrize("room", PURE)
def test_room_touches_nothing(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = [line for path in files for line in violations(path.read_text(), str(path.relative_to(ROOT)))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from os import path",
        "import numpy.random",
        "from numpy import random",
        "hash('a')",
        "open('a')",
        "import numpy as np\nnp.random.rand()",
        "from concurrent import futures",
    ],
)
def test_the_test_sees_violations(source):
    assert violations(source, "sample.py")
