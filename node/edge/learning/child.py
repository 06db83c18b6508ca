"""The learning process of one job: reads requests from stdin, answers on stdout, and stays warm in between.

Responsible for the process: its one thread of arithmetic, its memory limit, and its end when the daemon closes stdin or
dies; it begins in `background`. A `LearnerError` is answered in words; anything else ends the process with a traceback
on stderr, which the daemon's side puts into words and replaces by a new process at the next request.
"""

import os
import queue
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch

from node.base.ports import LearnerError
from node.edge.learning.features import Matrix, features_of, statistics_of
from node.edge.learning.framing import HEAD, FrameError, cut_body, frame_head, read_head, read_header
from node.edge.learning.initial import initial_parameters
from node.edge.learning.model import train
from node.edge.learning.preparation import Preparation, prepare, read_preparation, write_preparation
from node.edge.learning.recipe import parse_recipe
from node.edge.learning.statistics import combine
from node.edge.learning.table import Floats, read_rows

REQUESTS_WAITING_MAX: Final = 1

Request = tuple[dict[str, Any], list[bytes]]


@dataclass(frozen=True, slots=True)
class _Warm:
    """The last training rows in numbers, and what they were made from."""

    made_from: tuple[bytes, str, int, int]
    preparation: Preparation
    features: Matrix
    labels: Floats
    notes: tuple[str, ...]


class Child:
    """Answers requests; keeps the rows of the last training warm."""

    def __init__(self, answer: Callable[[dict[str, Any], list[bytes]], None]) -> None:
        self._answer = answer
        self._warm: _Warm | None = None

    def serve(self, header: dict[str, Any], parts: list[bytes]) -> None:
        """Answer one request."""
        try:
            match header["do"]:
                case "statistics":
                    self._statistics(parts[0], Path(header["data"]))
                case "prepare":
                    self._prepare(parts[0], dict(zip(header["orgs"], parts[1:], strict=True)))
                case "train":
                    self._train(header, parts[0], parts[1])
                case other:
                    raise FrameError(f"there is no request {other}")
        except LearnerError as error:
            self._answer({"kind": "error", "reason": str(error)}, [])

    def _statistics(self, recipe: bytes, data: Path) -> None:
        declared = parse_recipe(recipe)
        rows = read_rows(declared, data, labelled=True)
        blob = statistics_of(declared, rows)
        self._answer({"kind": "done", "rows": rows.count, "notes": list(rows.notes)}, [blob])

    def _prepare(self, recipe: bytes, blobs: dict[Any, bytes]) -> None:
        declared = parse_recipe(recipe)
        preparation = prepare(declared, combine(declared, blobs))
        parts = [write_preparation(preparation), initial_parameters(preparation)]
        self._answer({"kind": "done", "length": preparation.length}, parts)

    def _train(self, header: dict[str, Any], preparation: bytes, base: bytes) -> None:
        warm = self._rows(preparation, Path(header["data"]))
        parameters, loss = train(
            warm.preparation,
            base,
            warm.features,
            warm.labels,
            training_round=header["training_round"],
            stream=header["org"],
            progress=lambda line: self._answer({"kind": "progress", "line": line}, []),
        )
        self._answer({"kind": "done", "loss": loss}, [parameters])

    def _rows(self, preparation: bytes, data: Path) -> _Warm:
        """The rows as features; read again only if the file or the preparation is another."""
        try:
            facts = data.stat()
        except OSError as error:
            raise LearnerError(f"{data} cannot be read: {error.strerror}.") from error
        made_from = (preparation, str(data), facts.st_size, facts.st_mtime_ns)
        if self._warm is None or self._warm.made_from != made_from:
            plan = read_preparation(preparation)
            rows = read_rows(plan.recipe, data, labelled=True)
            assert rows.labels is not None, "labelled rows have labels"
            self._warm = _Warm(made_from, plan, features_of(plan, rows), rows.labels, rows.notes)
            for note in rows.notes:
                self._answer({"kind": "progress", "line": note}, [])
        return self._warm


def read_request(stream: BinaryIO) -> Request | None:
    """The next request; None at the end of the stream. Raises `FrameError`."""
    head = stream.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise FrameError("the stream ended in a frame")
    header_length, body_length = read_head(head)
    header = read_header(_read_exactly(stream, header_length), body_length)
    return header, cut_body(header, _read_exactly(stream, body_length))


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise FrameError("the stream ended in a frame")
    return data


def _listen(stream: BinaryIO, requests: "queue.Queue[Request]") -> None:
    """Reads beside the training, so that the process ends at once, also in mid-training, when the daemon is gone."""
    status = 2
    try:
        while (request := read_request(stream)) is not None:
            requests.put(request)
        status = 0
    except FrameError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(status)


def main() -> None:
    """Serve until stdin closes."""
    if len(sys.argv) > 1:
        limit = int(sys.argv[1]) * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.set_num_threads(1)
    # Whatever a library prints must not fall between the frames: stdout becomes stderr, the frames keep the pipe.
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(header: dict[str, Any], parts: list[bytes]) -> None:
        frames.write(frame_head(header, parts))
        for part in parts:
            frames.write(part)
        frames.flush()

    requests: queue.Queue[Request] = queue.Queue(REQUESTS_WAITING_MAX)
    # A stream of its own: sys.stdin, blocked in another thread, would abort the interpreter's end after a crash.
    stream = os.fdopen(os.dup(0), "rb")
    threading.Thread(target=_listen, args=(stream, requests), daemon=True).start()
    child = Child(answer)
    while True:
        child.serve(*requests.get())
