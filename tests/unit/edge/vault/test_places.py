"""Chunks at a place that speaks S3, a real server on loopback: the same commands, and what a failing place leaves."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import boto3
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from node.base.types import OrgId, PublicKey
from node.edge.storage import PRIVATE_MODE, FileSealer, write_atomically
from node.edge.transport import free_port
from node.edge.vault import Busy, ReadMemory, Vault, VaultError, chunk_digest, open_source
from node.edge.vault.chunks import CHUNK_BYTES, SEALED_BYTES_MAX
from node.edge.vault.places import ChunkPlace

WORDS = {"label": "Rows", "purpose": "tests", "now_ms": 1_000}
PLACE = "s3://bucket/lepton"


class Wire:
    """A TCP connection to a port that can be cut: what passes through it ends at once, nothing new gets in."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._is_cut = False
        self._open: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._begin(self._accept)

    def cut(self, cut: bool) -> None:
        self._is_cut = cut
        for side in self._open if cut else ():
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut(True)
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()
        for side in self._open:
            side.close()

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if self._is_cut:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                self._begin(self._carry, near, far)
                self._begin(self._carry, far, near)
                if self._is_cut:
                    self.cut(True)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


class S3:
    """A server, reached over a wire."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
        self._server.start()
        self.wire = Wire(self._server._port)

    def close(self) -> None:
        """Its backend belongs to the process, not to the server: what it holds is deleted."""
        # A test that failed may have left it cut.
        self.wire.cut(False)
        self.check_credentials(False)
        for key in self.keys():
            self.client().delete_object(Bucket="bucket", Key=key)
        self.client().delete_bucket(Bucket="bucket")
        self.wire.close()
        self._server.stop()

    def client(self) -> Any:
        return boto3.client("s3")

    def keys(self) -> list[str]:
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket="bucket").get("Contents", [])]

    def check_credentials(self, from_now_on: bool) -> None:
        count = b"0" if from_now_on else b"inf"
        call = Request(
            f"http://127.0.0.1:{self._server._port}/moto-api/reset-auth", count, {"Content-Type": "text/plain"}
        )
        with urlopen(call) as answer:
            assert answer.status == 200


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    server = S3()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.wire.port}",
        "AWS_ACCESS_KEY_ID": "ada",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    server.client().create_bucket(Bucket="bucket")
    yield server
    server.close()


def make_vault(folder: Path) -> Vault:
    secret = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    keys, public = (secret.private_bytes_raw(),), PublicKey(secret.public_key().public_bytes_raw())
    return Vault(
        folder / "vault", OrgId("ada"), keys, public, FileSealer(*keys), partial(write_atomically, mode=PRIVATE_MODE)
    )


def rows(folder: Path, count: int) -> Path:
    path = folder / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{number},x{number * 7919}\n" for number in range(count)))
    return path


def noise(folder: Path) -> Path:
    """More chunks than are under way at once: after twelve pieces some are stored."""
    path = folder / "rows.npz"
    np.savez(path, a=np.frombuffer(os.urandom(16 * CHUNK_BYTES), np.uint8))
    return path


def test_data_at_s3_are_added_verified_extracted_and_removed(tmp_path: Path, s3: S3) -> None:
    vault, data = make_vault(tmp_path), rows(tmp_path, 200_000)
    version = vault.add(open_source(data), "rows", place=PLACE, **WORDS)
    assert len(s3.keys()) == len(version.digests)
    assert vault.verify(vault.records.version("rows")) == []
    (back,) = vault.extract(version, tmp_path / "back")
    assert back.read_bytes() == data.read_bytes()
    damaged = version.digests[1].hex()
    s3.client().put_object(Bucket="bucket", Key=f"lepton/{damaged[:2]}/{damaged}", Body=b"changed")
    s3.client().delete_object(Bucket="bucket", Key=f"lepton/{version.digests[2].hex()[:2]}/{version.digests[2].hex()}")
    assert [problem.chunk for problem in vault.verify(version)] == [1, 2]
    vault.remove(version)
    assert s3.keys() == []


@pytest.mark.parametrize("size", [17, 100, SEALED_BYTES_MAX, SEALED_BYTES_MAX + 1])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_chunk_from_elsewhere_is_stored_where_its_digest_says_so_and_nothing_else_is(
    tmp_path: Path, s3: S3, size: int, is_local: bool
) -> None:
    place, sealed = ChunkPlace(str(tmp_path / "chunks") if is_local else PLACE), os.urandom(size)
    digest, other = chunk_digest(sealed), chunk_digest(b"another")
    assert place.put_if_true(digest, memoryview(sealed))
    assert not place.put_if_true(other, memoryview(sealed))
    assert place.get_once(ReadMemory(), digest, size, behind=b"mark") == b"mark" + sealed
    assert place.missing([digest, other], size) == [1]
    if is_local:
        assert [path.name for path in (tmp_path / "chunks").rglob("*") if path.is_file()] == [digest.hex()]


def test_wrong_credentials_are_named_and_nothing_is_kept(
    tmp_path: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, looked = make_vault(tmp_path), open_source(rows(tmp_path, 10))
    s3.check_credentials(True)
    with pytest.raises(OSError, match=r"s3://bucket/lepton: .*(Access|does not exist)"):
        vault.add(looked, "rows", place=PLACE, **WORDS)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(OSError, match=r"s3://bucket/lepton does not answer as it should: .*credentials"):
        vault.add(looked, "rows", place=PLACE, **WORDS)
    assert vault.records.names() == []


def test_a_connection_that_breaks_in_mid_adding_loses_nothing(tmp_path: Path, s3: S3) -> None:
    vault = make_vault(tmp_path)
    first = vault.add(open_source(rows(tmp_path, 10)), "rows", place=PLACE, **WORDS)
    looked = open_source(noise(tmp_path))
    counted: list[int] = []

    def pull_the_plug(count: int) -> None:
        counted.append(count)
        if len(counted) == 12:
            s3.wire.cut(True)

    with pytest.raises(OSError, match="s3://bucket/lepton"):
        vault.add(looked, "rows", place=PLACE, progress=pull_the_plug, **WORDS)
    assert [version.number for version in vault.records.versions("rows")] == [1]
    (unanswered,) = vault.sweep()
    s3.wire.cut(False)
    # What another vault keeps at the same place is none of this one's.
    foreign = f"lepton/ab/{'ab' * 32}"
    s3.client().put_object(Bucket="bucket", Key=foreign, Body=b"another's")
    left = len(s3.keys()) - len(first.digests) - 1
    (swept,) = vault.sweep()
    assert unanswered.place == PLACE
    assert PLACE in unanswered.fault
    assert 0 < left <= swept.deleted
    assert swept.fault == ""
    assert sorted(s3.keys()) == sorted([foreign, *(key_of(digest) for digest in first.digests)])
    assert vault.sweep() == []

    counted.clear()
    with pytest.raises(OSError, match="s3://bucket/lepton"):
        vault.add(looked, "rows", place=PLACE, progress=pull_the_plug, **WORDS)
    s3.wire.cut(False)
    second = vault.add(looked, "rows", place=PLACE, **WORDS)
    assert vault.verify(first) == vault.verify(second) == []
    assert len(s3.keys()) == len(first.digests) + len(second.digests) + 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.unit.edge.vault.test_places import WORDS, make_vault
from node.edge.vault import open_source
folder, counted = Path(sys.argv[1]), []
def killed(count):
    counted.append(count)
    if len(counted) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
make_vault(folder).add(open_source(folder / "rows.npz"), "rows", place=str(folder / "else"), progress=killed, **WORDS)
"""


def test_what_a_killed_adding_left_elsewhere_is_found_by_its_list(tmp_path: Path) -> None:
    vault, place = make_vault(tmp_path), tmp_path / "else"
    first = vault.add(open_source(rows(tmp_path, 10)), "rows", place=str(place), **WORDS)
    looked = open_source(noise(tmp_path))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, cwd=Path(__file__).parents[4])
    left = len(chunks_in(place)) - len(first.digests)
    refused: list[str] = []

    def sweep_meanwhile(count: int) -> None:
        with pytest.raises(Busy):
            vault.sweep()
        refused.append("busy")

    (swept,) = vault.sweep()
    second = vault.add(looked, "rows", place=str(place), progress=sweep_meanwhile, **WORDS)

    assert killed.returncode == -signal.SIGKILL
    assert 0 < left <= swept.deleted
    assert refused
    assert vault.verify(first) == vault.verify(second) == []
    assert len(chunks_in(place)) == len(first.digests) + len(second.digests)


def chunks_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def key_of(digest: bytes) -> str:
    return f"lepton/{digest.hex()[:2]}/{digest.hex()}"


def test_a_place_of_no_known_kind_is_refused_in_words() -> None:
    with pytest.raises(VaultError, match="nowhere://x cannot be used"):
        ChunkPlace("nowhere://x")
