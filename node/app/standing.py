"""How the member stands, read from its running parts: what `lepton status --json` prints and `lepton doctor` judges."""

import asyncio
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

import node
from node.base.types import Digest, OrgId
from node.edge.storage import KeyName, MemberKeys
from node.edge.telemetry import open_files, resident_mb
from node.edge.transport import LinkHealth, TransportHealth
from node.engine.loop import Engine
from node.engine.training import TrainingEngine


class Linked(Protocol):
    """A transport that tells how its links are."""

    def health(self) -> TransportHealth:
        """What an operator should know of the links."""
        ...


class Standing:
    """Reads the running parts of one member; changes nothing."""

    def __init__(
        self,
        org: OrgId,
        network: str,
        chain: Digest,
        keys: MemberKeys,
        *,
        engine: Engine,
        transport: Linked,
        training: TrainingEngine,
        members: Callable[[], tuple[OrgId, ...]],
        warnings: Callable[[], list[str]],
    ) -> None:
        """`members` are all organisations that may connect; `warnings` what to do about keys, in sentences."""
        self._org = org
        self._network = network
        self._chain = chain
        self._keys = keys
        self._engine = engine
        self._transport = transport
        self._training = training
        self._members = members
        self._warnings = warnings
        self._started_s = time.monotonic()

    def read(self) -> dict[str, Any]:
        """Everything, as JSON."""
        replica, training, health = self._engine.replica, self._training.status, self._transport.health()
        return {
            "org": self._org,
            "network": self._network,
            "chain": self._chain.hex(),
            "height": replica.height,
            "head_digest": replica.head_digest.hex(),
            "head_time_ms": replica.head_time_ms,
            "state_root": replica.state_root.hex(),
            "round": replica.round,
            "pending": replica.pending,
            "silent_until": replica.silent_until,
            "silent_because": replica.why_silent,
            "halt_at": replica.halt_at,
            "halted": replica.is_halted,
            "unfit_because": replica.why_unfit,
            "job": training.job.hex() if training.job is not None else None,
            "training_round": training.training_round,
            "phase": training.phase,
            "loss": training.loss,
            "peers": self._peers(health),
            "agreement": self._agreement(),
            "refused": dict(health.refused),
            "listening": health.listening,
            "keys": self._held(),
            "warnings": self._warnings(),
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            "memory_mb": resident_mb(),
            "open_files": open_files(),
            "tasks": len(asyncio.all_tasks()),
            "calls": health.calls,
            "pid": os.getpid(),
            "version": node.__version__,
        }

    def _peers(self, health: TransportHealth) -> list[dict[str, Any]]:
        links = {link.peer: link for link in health.links}
        tips = self._engine.replica.tips
        return [
            {
                "org": org,
                "connected": org in links and links[org].connected,
                "height": tip.height if (tip := tips.get(org)) is not None else None,
                **(_link(links[org]) if org in links else {}),
                "conduct": self._conduct(org),
            }
            for org in self._members()
            if org != self._org
        ]

    def _conduct(self, org: OrgId) -> dict[str, Any] | None:
        """What speaks against the peer: messages beyond their limits, faults, how often it was cut off."""
        found = self._engine.conduct(org)
        return None if found is None else dataclasses.asdict(found)

    def _held(self) -> dict[str, list[str]]:
        """Public halves of the keys that the daemon holds, newest first; of TLS keys their certificates' SHA-256."""
        found: dict[str, list[str]] = {}
        for key in self._keys.held:
            shown = hashlib.sha256(key.public).hexdigest() if key.name is KeyName.TLS else key.public.hex()
            found.setdefault(key.name.name.lower(), []).append(shown)
        return found

    def _agreement(self) -> dict[str, Any] | None:
        """What the next block waits for; None in the moment before the first step."""
        standing = self._engine.replica.standing
        if standing is None:
            return None
        return {
            "height": standing.height,
            "round": standing.round,
            "proposer": standing.proposer,
            "quorum": standing.quorum,
            "members": list(standing.members),
            "wanted": standing.deadline_ms is not None,
            "proposed": standing.proposed,
            "executed": standing.executed,
            "prepared": list(standing.prepared),
            "committed": list(standing.committed),
            "rounds": dict(standing.rounds),
        }


def _link(link: LinkHealth) -> dict[str, Any]:
    return {
        "bulk": link.bulk,
        "dialled": link.dialled,
        "since_s": link.since_s,
        "heard_s": link.heard_s,
        "clock_ahead_ms": link.clock_ahead_ms,
        "version": link.version,
        "software": link.software,
        "failure": link.failure,
        "refused": dict(link.refused),
        "traffic": dataclasses.asdict(link.traffic),
    }
