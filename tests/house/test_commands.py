"""What the README promises exists: its commands, and the scripts it names."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_scripts_named_in_documents_exist_and_are_executable():
    named = set()
    for document in [ROOT / "README.md", *ROOT.glob("node/**/*.md"), *ROOT.glob("scripts/**/*.md")]:
        named |= set(re.findall(r"\bscripts/([a-z]+)\b(?![/.])", document.read_text()))
    assert named >= {"spawn", "test"}
    for name in sorted(named - {"scenarios"}):
        path = ROOT / "scripts" / name
        assert path.is_file(), f"scripts/{name} is named in a document and does not exist"
        assert os.access(path, os.X_OK), f"scripts/{name} is not executable"


def test_no_file_names_a_machine_or_a_registry():
    words = ["/" + "work/", "/" + "root/", "py" + "pi.org", "/" + "tmp/env"]
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    assert len(kept) > 100
    for name in filter(None, kept):
        text = (ROOT / name).read_text(errors="ignore")
        assert not [word for word in words if word in text], name


def test_every_script_runs_in_the_projects_environment():
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and os.access(path, os.X_OK)]
    assert len(scripts) >= 6
    outside = [p.name for p in scripts if not re.search(r"^\s*environment\.enter\(\)$", p.read_text(), re.MULTILINE)]
    assert outside == []
