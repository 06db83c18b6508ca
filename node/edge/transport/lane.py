"""The one stream in use with a peer for one purpose, whoever dialled it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from node.base.ports import LinkError, Members
from node.base.types import OrgId
from node.edge.transport.errors import PeerCut
from node.edge.transport.report import Purpose
from node.edge.transport.session import Link, Session
from node.edge.transport.stream import FrameStream

S = TypeVar("S", bound=Session)


class Lane(Generic[S]):
    """Holds the current session and decides between two.

    - A session of another run of the peer's process replaces what was there: that run is gone.
    - Of two that the same side dialled, the newer one stays.
    - Of two that both sides dialled, the one dialled by the lower organisation stays.
    - A session that renews another takes its place without a gap: the other ends when what is under way has arrived.
    """

    def __init__(
        self,
        own: OrgId,
        peer: OrgId,
        purpose: Purpose,
        members: Members,
        make: Callable[[Link, FrameStream], S],
        on_change: Callable[[bool], None],
    ) -> None:
        """`on_change` hears of each session that comes into use or goes out of it."""
        self.peer = peer
        self.purpose = purpose
        self.current: S | None = None
        self._own = own
        self._members = members
        self._make = make
        self._on_change = on_change
        self._up = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._retired: S | None = None
        self._cut_until = 0.0
        """By the loop's clock."""

    @property
    def cut_for_s(self) -> float:
        """How long the peer is still cut off; 0 when it may be linked."""
        return max(0.0, self._cut_until - asyncio.get_running_loop().time())

    def cut(self, seconds: float, reason: LinkError) -> None:
        """End the current session and take none for so long."""
        self._cut_until = asyncio.get_running_loop().time() + seconds
        self.close(reason)

    async def wait_allowed(self) -> None:
        """Until the peer is not cut off."""
        # If it is cut off anew meanwhile, it is dialled once and the lane refuses the link.
        await asyncio.sleep(self.cut_for_s)

    async def wait_up(self) -> None:
        """Until there is a session."""
        await self._up.wait()

    async def wait_free(self) -> None:
        """Until there is none."""
        await self._free.wait()

    async def use(self, link: Link, stream: FrameStream) -> LinkError:
        """Run a session on the stream until it ends; why it ended, or why it was not wanted."""
        if link.certificate not in self._members.certificates(self.peer):
            return LinkError("its certificate changed while the link was made")
        if self.cut_for_s > 0:
            return PeerCut(f"cut off for {self.cut_for_s:.0f} s more")
        session = self._make(link, stream)
        if not self._attach(session):
            return LinkError("there is a link to this peer already")
        try:
            return await session.run()
        finally:
            self._detach(session)

    def close(self, reason: LinkError) -> None:
        """End the current session, and one that retires."""
        for session in (self.current, self._retired):
            if session is not None:
                session.close(reason)

    def hold_against(self, accepted: Sequence[bytes]) -> None:
        """End sessions that were begun with another certificate of the peer than these."""
        for session in (self.current, self._retired):
            if session is not None and session.link.certificate not in accepted:
                session.close(LinkError(f"the certificate of {self.peer} counts no more"))

    def _attach(self, session: S) -> bool:
        old = self.current
        if old is not None:
            if not self._replaces(session.link, old.link):
                return False
            if session.link.renews and session.link.instance == old.link.instance:
                self._retire(old)
                self.current = session
                return True
            self._detach(old)
            old.close(LinkError("another link to the same peer took its place"))
        self.current = session
        self._up.set()
        self._free.clear()
        self._on_change(True)
        return True

    def _retire(self, old: S) -> None:
        if self._retired is not None:
            self._retired.close(LinkError("another link to the same peer took its place"))
        self._retired = old
        old.retire()

    def _detach(self, session: S) -> None:
        if self._retired is session:
            self._retired = None
        if self.current is not session:
            return
        self.current = None
        self._up.clear()
        self._free.set()
        self._on_change(False)

    def _replaces(self, new: Link, old: Link) -> bool:
        if new.instance != old.instance or new.dialled == old.dialled:
            return True
        return new.dialled == (self._own < self.peer)
