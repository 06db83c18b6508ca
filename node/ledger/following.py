"""Takes certified blocks one after the other, each checked and executed on the state before it."""

from node.base.ports import StateReader, Verifier
from node.base.types import CertifiedBlock, Digest, Height, VoteKind
from node.ledger import apply, system
from node.ledger.certificates import verify_certificate
from node.ledger.contracts import membership
from node.ledger.contracts.contract import view
from node.ledger.errors import ChainBroken, InvalidBlock, OtherCel


def follow(
    reader: StateReader,
    chain: Digest,
    parent: Digest,
    certified: CertifiedBlock,
    verify: Verifier,
    cel_version: str,
) -> apply.Executed:
    """What the block does, which must follow the reader's state. Raises `ChainBroken` with its height.

    `cel_version` is the installed one. Raises `OtherCel` for a height that is decided by another.
    """
    block, certificate = certified.block, certified.certificate
    height = system.head(reader).height + 1
    if block.header.height != height:
        raise ChainBroken(height, f"block {block.header.height} stands here")
    adopted = membership.cel_version_at(view(reader, membership.NAME), Height(height))
    parameters = system.parameters(reader)
    decided_by = adopted or parameters.cel_version
    if decided_by != cel_version:
        raise OtherCel(height, decided_by, cel_version)
    members = apply.members_at_head(reader)
    position = apply.Position(
        chain=chain,
        height=Height(height),
        time_ms=block.header.time_ms,
        parent=parent,
        last_certificate=block.last_certificate,
        author=block.header.author,
        members=members,
        parameters=parameters,
    )
    try:
        executed = apply.execute_block(reader, position, block, verify)
    except InvalidBlock as error:
        raise ChainBroken(height, error.reason) from error
    if certificate.height != height or certificate.block != block.digest:
        raise ChainBroken(height, "the certificate is not for this block")
    if reason := verify_certificate(chain, members, certificate, VoteKind.COMMIT, verify):
        raise ChainBroken(height, reason)
    return executed
