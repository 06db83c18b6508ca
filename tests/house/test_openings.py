"""A package's opening words name every file and folder in it: who looks for something finds the room at its door."""

import ast
import re
from pathlib import Path

import pytest

NODE = Path(__file__).resolve().parents[2] / "node"
PACKAGES = sorted(init.parent for init in NODE.rglob("__init__.py") if "_proto" not in init.parts)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(NODE.parent)))
def test_the_opening_words_name_all_that_is_in_the_package(package):
    words = set(re.findall(r"\w+", ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""))

    files = {file.stem for file in package.glob("*.py") if not file.name.startswith("__")}
    folders = {init.parent.name for init in package.glob("*/__init__.py")}
    assert sorted((files | folders) - words) == []
