"""Whether a certificate proves what it claims: a quorum of one set, of one kind, for one block, in one round."""

from itertools import pairwise

from node.base.ports import Verifier
from node.base.types import Certificate, Digest, MemberSet, VoteKind, vote_signing_bytes


def verify_certificate(
    chain: Digest, members: MemberSet, certificate: Certificate, kind: VoteKind, verify: Verifier
) -> str | None:
    """None if the certificate holds for the set in force at its height, else the reason in words.

    All signatures cover one message, so one certificate speaks of one round and one block by construction. Strict
    order makes every organisation count once, and gives one set of signers one byte form.
    """
    names = [signed.org for signed in certificate.signatures]
    if certificate.round < 0 or certificate.height < 1:
        return f"the certificate is for round {certificate.round} of height {certificate.height}"
    if any(first >= second for first, second in pairwise(names)):
        return "the certificate's signatures are not in ascending order of organisation, each once"
    strangers = [org for org in names if org not in members.keys]
    if strangers:
        return f"{strangers[0]} signed the certificate and is not in the member set of height {certificate.height}"
    if len(names) < members.quorum:
        return f"the certificate has {len(names)} signatures, the quorum is {members.quorum}"
    message = vote_signing_bytes(chain, kind, certificate.height, certificate.round, certificate.block)
    for signed in certificate.signatures:
        if not verify(members.keys[signed.org], message, signed.signature):
            return f"the certificate's signature of {signed.org} does not hold"
    return None
