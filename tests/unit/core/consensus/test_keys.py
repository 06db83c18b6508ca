"""Keys that rotate: at each height the key signs that the member set names; without it a member only listens."""

from dataclasses import replace

from node.base.types import Height, Member, MemberSet, PublicKey, VoteKind, vote_signing_bytes
from node.core import consensus
from node.testing.council import START, Council, Forge
from node.testing.signing import HashSigner, verify_hash


def test_each_height_is_signed_with_the_key_that_its_set_names():
    forge = Forge(1)
    (org,) = forge.orgs
    old, new = forge.signers[org], HashSigner(b"renewed")
    machine = forge.machine(org, old, new)
    renewed = MemberSet((Member(org, PublicKey(new.public_key)),))

    signed = []
    for height, members in ((1, forge.members), (2, renewed)):
        start = replace(forge.start_height(), height=Height(height), members=members)
        machine.step(start, now=START)
        machine.step(consensus.WorkAvailable(), now=START)
        block = forge.block(org)
        block = replace(block, header=replace(block.header, height=Height(height)))
        effects = machine.step(consensus.Built(0, block), now=START)
        proposal = next(effect.message for effect in effects if isinstance(effect, consensus.Broadcast))
        signed.append((vote_signing_bytes(forge.chain, VoteKind.PREPARE, height, 0, block.digest), proposal.signature))

    for key, (message, signature) in zip((old, new), signed, strict=True):
        assert verify_hash(key.public_key, message, signature)


def test_a_member_without_the_key_in_force_signs_nothing_and_the_others_decide():
    council = Council(4)
    silent = council.forge.proposer(0)
    council.machines[silent] = council.forge.machine(silent, HashSigner(b"lost"))
    council.give(silent, council.forge.start_height())

    for _ in range(5):
        council.work()
        council.pass_time()
        if len(council.decided) == 4:
            break

    assert len(council.decided) == 4, "it hears the others' votes and decides with them"
    assert council.logs[silent] == []
    assert all(sender != silent for sender, _ in council.sent)


def test_a_vote_log_without_its_key_is_kept_silent():
    forge = Forge(4)
    org = forge.orgs[0]
    block = forge.block(forge.proposer(0))
    machine = forge.machine(org, HashSigner(b"lost"))
    machine.step(forge.start_height(), now=START)

    effects = machine.step(consensus.Restored((forge.vote(org, VoteKind.PREPARE, block),)), now=START)

    assert effects == []
    assert machine.wake_at is None
