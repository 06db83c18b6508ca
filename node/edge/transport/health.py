"""What the transport can tell an operator of its links: who is connected, who dialled, since when, what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from node.base.types import OrgId
from node.edge.transport.report import Traffic


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """One peer, as seen from here."""

    peer: OrgId
    connected: bool
    """Whether there is a control link."""
    bulk: bool
    """Whether there is a bulk connection too."""
    dialled: bool | None
    """Whether we dialled the control link; None without one."""
    version: int | None
    """Of the protocol, that the control link uses."""
    software: str | None
    """The peer's program, in its own words."""
    since_s: float | None
    """How long the control link is up, or, without one, how long it is down; None for one that never was up."""
    heard_s: float | None
    """How long ago the last frame came; None for never."""
    clock_ahead_ms: int | None
    """The peer's clock less ours, at least; wrong by the link's delay in one direction at most. None without frames."""
    failure: str | None
    """Why the last dial did not succeed, or the last link ended."""
    refused: Mapping[str, int]
    """How often the peer was refused or cut off, by kind, since the start."""
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class TransportHealth:
    """The whole transport."""

    listening: int
    """The port."""
    calls: int
    """Calls under way, dialled and answered: two for each linked peer."""
    refused: Mapping[str, int]
    """How many were refused or cut off, by kind, since the start, strangers included."""
    links: tuple[LinkHealth, ...]
    """Every peer that may connect, in order."""
