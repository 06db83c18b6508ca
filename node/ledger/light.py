"""Trust without the chain: from the genesis to the certified header of any height, over the changes of members.

A trust path holds, for every change of the member set (admissions, removals, rotated keys), the certified header of the
block whose header names the new set, and that set; then the header that it leads to. Whoever has the genesis checks it
without a node: each header is signed by a quorum of the set that the step before it established.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from node.base import crypto
from node.base.ports import Verifier
from node.base.types import (
    HEADER_VERSION,
    CertifiedHeader,
    Digest,
    Genesis,
    Header,
    Height,
    MemberSet,
    VoteKind,
    chain_id,
    header_digest,
    member_set_digest,
    parameters_digest,
)
from node.ledger.certificates import verify_certificate
from node.ledger.errors import InvalidGenesis, Unprovable, Untrusted
from node.ledger.genesis import genesis_members, verify_genesis

STEPS_MAX = 10_000
"""Changes of the member set that a path may lead over."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the member set."""

    certified: CertifiedHeader
    """Signed by the set before; its header names the next."""
    next: MemberSet
    """In force from the height after it."""


@dataclass(frozen=True, slots=True)
class TrustPath:
    """The changes of members below `target`, ascending, and the header to be trusted."""

    steps: tuple[Step, ...]
    target: CertifiedHeader


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a path that holds establishes."""

    chain: Digest
    header: Header
    members: MemberSet
    """The set in force at the header's height, a quorum of which signed it."""


def build_path(
    sets: Iterable[tuple[Height, MemberSet]],
    header_at: Callable[[Height], CertifiedHeader | None],
    target: Height,
) -> TrustPath:
    """The path to `target`. `sets` are all member sets with their first heights, ascending, the genesis's first.

    Raises `Unprovable` where a header is not kept.
    """
    in_force: MemberSet | None = None
    steps: list[Step] = []
    for first, members in sets:
        if first > target:
            break
        if in_force is not None:
            steps.append(Step(kept_header(header_at, Height(first - 1), in_force), members))
        in_force = members
    if in_force is None:
        raise Unprovable(f"there is no member set for height {target}")
    return TrustPath(tuple(steps), kept_header(header_at, target, in_force))


def verify_path(genesis: Genesis, path: TrustPath, verify: Verifier = crypto.verify) -> Trusted:
    """Raises `Untrusted` unless:

    - all founders signed the genesis;
    - the heights ascend, and every header is of this chain and its parameters;
    - every header names the set established before it, and exactly a quorum of that set signed it;
    - the header of each step names the step's set as the next.
    """
    (trusted,) = verify_headers(genesis, path.steps, (path.target,), verify)
    return trusted


def verify_headers(
    genesis: Genesis, steps: Sequence[Step], headers: Sequence[CertifiedHeader], verify: Verifier = crypto.verify
) -> list[Trusted]:
    """The same for many headers, ascending, over one way of steps, none of them above the last header."""
    try:
        verify_genesis(genesis, verify)
    except InvalidGenesis as error:
        raise Untrusted(f"the genesis file cannot found a chain: {error}") from error
    if len(steps) > STEPS_MAX:
        raise Untrusted(f"the path has {len(steps)} steps; {STEPS_MAX} is the most")
    chain, members, height = chain_id(genesis.body), genesis_members(genesis), 0
    parameters = parameters_digest(genesis.body.parameters)
    found: list[Trusted] = []
    left = deque(steps)
    for certified in headers:
        while left and left[0].certified.header.height < certified.header.height:
            step = left.popleft()
            _check(chain, parameters, members, height, step.certified, verify)
            if not step.next.members or step.next == members:
                raise Untrusted(f"the step at height {step.certified.header.height} changes no member set")
            if step.certified.header.next_members != member_set_digest(step.next):
                raise Untrusted(f"the set after height {step.certified.header.height} is not the one its header names")
            members, height = step.next, step.certified.header.height
        if found and certified.header.height <= found[-1].header.height:
            raise Untrusted(f"height {certified.header.height} does not come after the header before it")
        _check(chain, parameters, members, height, certified, verify)
        found.append(Trusted(chain, certified.header, members))
    if left:
        raise Untrusted(f"the last height does not come after height {left[0].certified.header.height}")
    return found


def kept_header(
    header_at: Callable[[Height], CertifiedHeader | None], height: Height, members: MemberSet
) -> CertifiedHeader:
    """The header of this height, signed by just a quorum of its `members`. Raises `Unprovable`."""
    certified = header_at(height)
    if certified is None:
        raise Unprovable(f"this member does not keep the header of height {height}; ask one that does")
    # Members may hold certificates with more signatures than needed; a path has one form.
    signatures = certified.certificate.signatures[: members.quorum]
    return CertifiedHeader(certified.header, replace(certified.certificate, signatures=signatures))


def _check(
    chain: Digest, parameters: Digest, members: MemberSet, above: int, certified: CertifiedHeader, verify: Verifier
) -> None:
    header, certificate = certified.header, certified.certificate
    height = header.height
    if header.version != HEADER_VERSION:
        raise Untrusted(f"a header has version {header.version}; this program knows {HEADER_VERSION}")
    if header.chain != chain or header.parameters != parameters:
        raise Untrusted(f"the header of height {height} is not of the genesis file's chain")
    if height <= above:
        raise Untrusted(f"height {height} does not come after height {above}")
    if header.members != member_set_digest(members):
        raise Untrusted(f"the header of height {height} does not name the member set that the path leads to")
    if certificate.height != height or certificate.block != header_digest(header):
        raise Untrusted(f"the certificate at height {height} is for another block")
    if len(certificate.signatures) != members.quorum:
        raise Untrusted(f"height {height} has {len(certificate.signatures)} signatures, not {members.quorum}")
    if reason := verify_certificate(chain, members, certificate, VoteKind.COMMIT, verify):
        raise Untrusted(f"height {height}: {reason}")
