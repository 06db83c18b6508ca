"""The edge: what the cores decide meets disks, sockets and processes here. No room knows another.

`transport` gRPC over mutual TLS; `storage` the ledger's database, the vote log, keys and cards; `vault` data sets at
rest; `tables` rows of files; `learning` PyTorch in a process of its own; `verifying` signatures in another; `telemetry`
clocks, logs and readings of the machine.
"""
