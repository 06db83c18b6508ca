"""Logs and resource readings."""

from node.edge.telemetry.clock import SystemClock, SystemEntropy
from node.edge.telemetry.logs import configure_logs
from node.edge.telemetry.resources import resident_mb

__all__ = ["SystemClock", "SystemEntropy", "configure_logs", "resident_mb"]
