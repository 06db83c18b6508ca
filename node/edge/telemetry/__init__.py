"""The machine as the daemon sees it, and what it tells of itself.

`clock` clocks and chance, `logs` structured lines, `resources` what this process uses.
"""

from node.edge.telemetry.clock import SystemClock, SystemEntropy
from node.edge.telemetry.logs import configure_logs
from node.edge.telemetry.resources import open_files, resident_mb

__all__ = ["SystemClock", "SystemEntropy", "configure_logs", "open_files", "resident_mb"]
