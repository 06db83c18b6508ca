"""A round's numbers have the same bytes with and without the processor's vector units."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from node.core.averaging import apply_sum, combine, encode_update

SIZE = 10_007


def outcome():
    """The digest of everything that must be equal, from fixed inputs."""
    source = np.random.Generator(np.random.PCG64(7))
    base = source.standard_normal(SIZE).astype(np.float32)
    changes = [(source.standard_normal(SIZE) / 8).astype(np.float32) for _ in range(4)]
    encoded = [encode_update(base, base + change, 0) for change in changes]
    total = combine([one.values for one in encoded], [200, 150, 100, 61])
    new = apply_sum(base, total, 0, 511)
    parts = [base.tobytes(), *[one.values.tobytes() for one in encoded], total.tobytes(), new.tobytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def dispatched():
    """The processor features that this numpy chooses at run time and that can be switched off."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(found)


@pytest.mark.skipif(not dispatched(), reason="this processor has nothing to switch off")
def test_the_bytes_do_not_depend_on_the_vector_units():
    code = (
        f"import importlib.util as u; s = u.spec_from_file_location('simd', {__file__!r});"
        " m = u.module_from_spec(s); s.loader.exec_module(m); print(m.outcome())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NPY_DISABLE_CPU_FEATURES": dispatched(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == outcome()
