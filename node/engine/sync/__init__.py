"""Snapshots at work: `syncer` fetches and installs them and has them made, `serving` answers others, `requests` are
what members ask each other on the bulk connection."""

from node.engine.sync.requests import is_sync_request
from node.engine.sync.syncer import Shelf, SnapshotSync, Terms

__all__ = ["Shelf", "SnapshotSync", "Terms", "is_sync_request"]
