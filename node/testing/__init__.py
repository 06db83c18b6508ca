"""Beside the house: N members in one process, local networks of processes, simulated networks and clocks, checkers."""
