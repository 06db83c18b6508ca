"""Beside the house: N members in one process, local networks of processes, simulated networks and clocks, checkers."""

from node.testing.cluster import Cluster, ClusterMember

__all__ = ["Cluster", "ClusterMember"]
