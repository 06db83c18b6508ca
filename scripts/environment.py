"""Makes the project's virtual environment from the lock file and carries the calling script on inside it.

Standard library only: it runs before anything is installed. Every script begins with `environment.enter()`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "deploy" / "requirements.lock"
PYTHON_MIN = (3, 11)


def enter() -> None:
    """Re-execute the calling script with the environment's Python, making the environment where it is not current."""
    home = ROOT / ".venv"
    if Path(sys.prefix) == home and _is_current(home):
        sys.path.insert(0, str(ROOT))
        return
    if sys.version_info < PYTHON_MIN:
        _enter_newer_python()
    _prepare(home)
    python = str(home / "bin" / "python")
    os.execv(python, [python, *sys.orig_argv[1:]])


def _enter_newer_python() -> None:
    for minor in range(PYTHON_MIN[1], PYTHON_MIN[1] + 4):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.orig_argv[1:]])
    sys.exit(f"Lepton needs Python 3.11 or newer; this is {sys.version.split()[0]}. Install it, then run this again.")


def _stamp() -> str:
    inputs = LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(inputs + sys.version.encode()).hexdigest()


def _is_current(home: Path) -> bool:
    stamp = home / "lock.sha256"
    return stamp.is_file() and stamp.read_text() == _stamp()


def _prepare(home: Path) -> None:
    # Two scripts started at once must not build one environment together.
    with (ROOT / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if _is_current(home):
            return
        _say(f"making the environment in {home.name}/ from {LOCK.relative_to(ROOT)} (once; torch is large)")
        try:
            venv.EnvBuilder(with_pip=True, clear=True).create(home)
        except subprocess.CalledProcessError:
            sys.exit("Python's venv module cannot install pip here; on Debian: apt-get install python3-venv")
        torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
        _pip(home, "install", torch)
        _pip(home, "install", "-r", str(LOCK))
        _pip(home, "install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
        (home / "lock.sha256").write_text(_stamp())
        _say("the environment is ready")


def _pip(home: Path, *words: str) -> None:
    _say(f"pip install {Path(words[-1]).name}")
    # Their output is of no use when all goes well, and all of it when something fails.
    command = [str(home / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        sys.exit(f"pip {' '.join(words)} failed; see above. Mend the cause and run this again.")


def _say(text: str) -> None:
    print(f"environment: {text}", file=sys.stderr, flush=True)
