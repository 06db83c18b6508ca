"""Takes certified blocks one after the other, each checked and executed on the state before it."""

from node.base.ports import StateReader, Verifier
from node.base.types import CertifiedBlock, Digest, Height, VoteKind
from node.ledger import apply, system
from node.ledger.certificates import verify_certificate
from node.ledger.errors import ChainBroken, InvalidBlock


def follow(
    reader: StateReader, chain: Digest, parent: Digest, certified: CertifiedBlock, verify: Verifier
) -> apply.Executed:
    """What the block does, which must follow the reader's state. Raises `ChainBroken` with its height."""
    block, certificate = certified.block, certified.certificate
    height = system.head(reader).height + 1
    if block.header.height != height:
        raise ChainBroken(height, f"block {block.header.height} stands here")
    members = apply.members_at_head(reader)
    position = apply.Position(
        chain=chain,
        height=Height(height),
        time_ms=block.header.time_ms,
        parent=parent,
        last_certificate=block.last_certificate,
        author=block.header.author,
        members=members,
        parameters=system.parameters(reader),
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
