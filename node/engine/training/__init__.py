"""Performs what `core.averaging` and `core.scheduling` ask for: one member's part in the ledger's training jobs.

`engine` the loop; `work` training, sums, models; `egress` what may leave this organisation; `fetching` and `serving`
the two ends of the bulk connection, with `requests` between them; `holdings` what is in memory while a training round
runs; `shelf` what is on disk.
"""

from node.engine.training.egress import EgressPolicy
from node.engine.training.engine import Status, TrainingEngine
from node.engine.training.work import Rows

__all__ = ["EgressPolicy", "Rows", "Status", "TrainingEngine"]
