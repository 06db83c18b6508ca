"""`lepton doctor`: what is wrong with a member, why, and what to do. It works with a running daemon and without one.

`snapshot` what is looked at; `gather` looks (folder, keys' files, disk, ports, database, and the daemon's own status);
`findings`, `network` and `quorum` decide, purely, what it means: each a `finding`. Peers' clocks are read from the
times that their frames carry (`edge.transport.readings`): the frame of least delay in the last two minutes.
"""

from node.app.doctor.finding import Finding, Severity, counted
from node.app.doctor.findings import examine
from node.app.doctor.gather import daemon_reading, gather
from node.app.doctor.snapshot import Snapshot

__all__ = ["Finding", "Severity", "Snapshot", "counted", "daemon_reading", "examine", "gather"]
