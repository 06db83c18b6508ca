"""What an operator is told of the height that is being agreed on."""

from node.testing.council import Council


def test_with_too_few_members_it_names_who_was_not_heard():
    council = Council(4)
    silent = set(council.forge.orgs[:2])
    council.deliver = lambda sender, receiver, message: not silent & {sender, receiver}
    witness = council.forge.orgs[3]

    council.work()
    for _ in range(3):
        council.pass_time()
    standing = council.machines[witness].standing

    assert standing is not None
    assert (standing.quorum, standing.members) == (3, council.forge.orgs)
    assert standing.round >= 1
    assert set(standing.rounds) == set(council.forge.orgs) - silent
    assert standing.deadline_ms is not None
    assert standing.proposer == council.forge.proposer(standing.round)


def test_votes_of_the_round_are_told_by_member():
    council = Council(4)
    late = council.forge.orgs[3]
    council.deliver = lambda sender, receiver, message: sender != late

    council.work(council.forge.proposer(0))

    told = council.machines[council.forge.proposer(0)].standing
    assert told is not None
    assert told.proposed
    assert told.executed
    assert set(told.prepared) == set(told.committed) == set(council.forge.orgs) - {late}
