"""A process that does one member's local training whenever it is told to, and nothing else.

Run as `python -m node.testing.bench.drill ORG MODEL DATA` by `Crew`. Imports torch.
"""

import asyncio
import sys
import time
from pathlib import Path

import torch
import uvloop

from node.edge.learning.features import features_of
from node.edge.learning.model import train
from node.edge.learning.modelfile import open_model
from node.edge.learning.preparation import read_preparation
from node.edge.learning.table import read_rows
from node.testing.bench.crew import Worker

MODULE = "node.testing.bench.drill"


async def _run(org: str, model: Path, data: Path) -> None:
    worker = await Worker.open()
    torch.set_num_threads(1)
    preparation, base = open_model(await asyncio.to_thread(model.read_bytes))
    plan = read_preparation(preparation)
    rows = read_rows(plan.recipe, data, labelled=True)
    assert rows.labels is not None, "labelled rows have labels"
    features = features_of(plan, rows)
    worker.say({"ready": org})
    while (message := await worker.hear()) is not None:
        train(
            plan,
            base,
            features,
            rows.labels,
            training_round=message["go"],
            stream=org,
            progress=lambda _line: None,
        )
        worker.say({"ended": time.monotonic()})


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
