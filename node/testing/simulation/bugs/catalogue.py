"""The list of seeded bugs: guards of agreement, vote log, sync, ledger and membership, each removed or inverted.

An entry names a file of the package, a text that stands in it exactly once, and what stands there instead.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """One deliberate fault."""

    name: str
    """Says what is no longer guarded."""
    path: str
    """Below `node/`."""
    text: str
    instead: str


_HEIGHTS = "core/consensus/consensus.py"
_ROUNDS = "core/consensus/rounds.py"
_BLOCKS = "core/consensus/blocks.py"
_MESSAGES = "core/consensus/messages.py"
_SEAT = "core/consensus/seat.py"
_JUSTIFICATION = "core/consensus/justification.py"
_PEN = "core/consensus/pen.py"
_VOTES = "core/consensus/votes.py"
_AGREEMENT = "core/consensus/agreement.py"
_CERTIFICATES = "ledger/certificates.py"
_APPLY = "ledger/apply.py"
_HEAD = "engine/head.py"
_REPLICA = "engine/replica.py"
_CATCH_UP = "core/gossip/catch_up.py"
_MOTIONS = "ledger/contracts/membership/motions.py"
_ENTERING = "ledger/contracts/membership/entering.py"
_SNAPSHOT = "ledger/snapshot.py"
_EVIDENCE = "ledger/contracts/evidence.py"

BUGS: tuple[Bug, ...] = (
    # Agreement: rounds and votes
    Bug("a second proposal of a round is no fault", _MESSAGES, "if digest != at.proposed:", "if False:"),
    Bug(
        "any time of a fresh block is taken",
        _MESSAGES,
        "if distance_ms > self._parameters.time_tolerance_ms:",
        "if False:",
    ),
    Bug(
        "signatures of votes are not checked",
        _MESSAGES,
        "if not self._verify(self._members.keys[vote.org], signed, vote.signature):",
        "if False:",
    ),
    Bug(
        "a message of another member is taken from anybody",
        _MESSAGES,
        "if not isinstance(message, PreparedBlock) and message.org != peer:",
        "if False:",
    ),
    Bug("any round is believed", _MESSAGES, "if not 0 <= round_ <= ROUND_MAX:", "if False:"),
    Bug(
        "any kind of vote is a vote",
        _MESSAGES,
        "if vote.kind not in (VoteKind.PREPARE, VoteKind.COMMIT):",
        "if False:",
    ),
    Bug(
        "two votes in one round are no fault",
        _MESSAGES,
        "if known is not None and known.block != vote.block:",
        "if False:",
    ),
    Bug("a proposal is not its proposer's prepare", _MESSAGES, "at.prepares.add(proposal.prepare)", "pass"),
    Bug(
        "a member that prepared may still propose",
        _BLOCKS,
        "return at.pen.signed(VoteKind.PREPARE) is None and at.proposal is None",
        "return at.proposal is None",
    ),
    Bug(
        "two round changes for one round are no fault",
        _MESSAGES,
        "if known.round == message.round and known != message:",
        "if False:",
    ),
    Bug(
        "a member goes on alone",
        _ROUNDS,
        "if at.joined:\n            self._change_round",
        "if True:\n            self._change_round",
    ),
    Bug(
        "one member's round change is followed",
        _MESSAGES,
        "supported_above(at.round, self._members.faults_max + 1)",
        "supported_above(at.round, self._members.faults_max)",
    ),
    Bug(
        "a round change forgets the lock",
        _ROUNDS,
        "at.pen.round_change(None if at.lock is None else at.lock.certificate)",
        "at.pen.round_change(None)",
    ),
    Bug(
        "f + 1 prepares lock",
        _BLOCKS,
        "at.prepares.certificate(at.context.height, at.round, block.digest, self._members.quorum)",
        "at.prepares.certificate(at.context.height, at.round, block.digest, self._members.faults_max + 1)",
    ),
    Bug(
        "f + 1 commits decide",
        _BLOCKS,
        "at.commits.certificate(at.context.height, round_, digest, self._members.quorum)",
        "at.commits.certificate(at.context.height, round_, digest, self._members.faults_max + 1)",
    ),
    Bug(
        "a locked member commits again",
        _BLOCKS,
        "if at.pen.signed(VoteKind.COMMIT) is None and self._lock(proposed):",
        "if self._lock(proposed):",
    ),
    Bug(
        "a vote of an old block fits any block",
        _VOTES,
        "for vote in self.of_round(round_) if vote.block == block)",
        "for vote in self.of_round(round_))",
    ),
    Bug("votes of all rounds are kept", _VOTES, "if len(rounds) > ROUNDS_PER_MEMBER_MAX:", "if False:"),
    Bug(
        "round changes for later rounds justify this one",
        _VOTES,
        "if self._highest[org].round == round_)",
        "if self._highest[org].round >= round_)",
    ),
    Bug("a quorum is 2f + 1", "base/types/identity.py", "2 * len(self.members) // 3 + 1", "2 * self.faults_max + 1"),
    Bug(
        "the proposer is the same in all rounds",
        "base/types/identity.py",
        "self.members[(height + round_) % len(self.members)]",
        "self.members[height % len(self.members)]",
    ),
    # Agreement: what is signed, and the vote log
    Bug("the pen signs twice", _PEN, "self._signed.clear()", "pass"),
    Bug(
        "round changes are not written before they are sent",
        _ROUNDS,
        "self._effects.append(PersistVotes((message,)))",
        "pass",
    ),
    Bug(
        "proposals are not written",
        _BLOCKS,
        "self._effects.append(PersistVotes((proposal,)))",
        "pass",
    ),
    Bug("prepares are not written", _BLOCKS, "self._effects.append(PersistVotes((prepare,)))", "pass"),
    Bug(
        "the lock is not written with the commit",
        _BLOCKS,
        "self._effects.append(PersistVotes((at.lock, commit)))",
        "self._effects.append(PersistVotes((commit,)))",
    ),
    Bug("a restart forgets the lock", _HEIGHTS, "                at.lock = message\n", "                pass\n"),
    Bug("a restart forgets what was signed", _HEIGHTS, "at.pen.restore(message)", "pass"),
    Bug(
        "a restart begins at round 0",
        _HEIGHTS,
        "at.round = max((m.round for m in mine if not isinstance(m, PreparedBlock)), default=0)",
        "at.round = 0",
    ),
    Bug(
        "a member without its vote log votes at once",
        _SEAT,
        "if self._sign_from is None or self.height < self._sign_from:",
        "if False:",
    ),
    # Agreement: justification
    Bug(
        "signatures of round changes are not checked",
        _JUSTIFICATION,
        "if not context.verify(key, signed, message.signature):",
        "if False:",
    ),
    Bug(
        "signatures of proposals are not checked",
        _JUSTIFICATION,
        "if not context.verify(key, signed, proposal.signature):",
        "if False:",
    ),
    Bug(
        "anybody proposes in any round",
        _JUSTIFICATION,
        "if key is None or proposal.org != context.members.proposer(context.height, proposal.round):",
        "if key is None:",
    ),
    Bug("any number of round changes justifies", _JUSTIFICATION, "if len(orgs) < context.members.quorum:", "if False:"),
    Bug(
        "a round change counts as often as it stands there",
        _JUSTIFICATION,
        "orgs = {message.org for message in proposal.round_changes}",
        "orgs = [message.org for message in proposal.round_changes]",
    ),
    Bug("round changes for other rounds justify", _JUSTIFICATION, "if message.round != proposal.round:", "if False:"),
    Bug(
        "what is prepared may be ignored",
        _JUSTIFICATION,
        'return "ignores what members have prepared"',
        "return None",
    ),
    Bug(
        "any prepared round will do",
        _JUSTIFICATION,
        "if certificate.round != highest or (highest, certificate.block) not in claims:",
        "if False:",
    ),
    Bug(
        "another block than the prepared one",
        _JUSTIFICATION,
        "if certificate.block != header_digest(proposal.header):",
        "if False:",
    ),
    Bug(
        "a proposal's prepare certificate is not checked",
        _JUSTIFICATION,
        "return _check_prepares(context, certificate)",
        "return None",
    ),
    Bug("a fresh block of another author", _JUSTIFICATION, "if header.author != proposal.org:", "if False:"),
    Bug(
        "a prepared block with a certificate for another",
        _JUSTIFICATION,
        "if message.certificate.block != message.block.digest:",
        "if False:",
    ),
    Bug(
        "a prepared block's certificate is not checked",
        _JUSTIFICATION,
        "reason = _check_prepares(context, message.certificate)",
        "reason = None",
    ),
    Bug(
        "claims without evidence are passed on",
        _JUSTIFICATION,
        "return highest is not None and (claim == highest or claim[0] < highest[0])",
        "return True",
    ),
    # Certificates and signatures
    Bug("a certificate needs no quorum", _CERTIFICATES, "if len(names) < members.quorum:", "if not names:"),
    Bug(
        "a certificate may count a member twice",
        _CERTIFICATES,
        "if any(first >= second for first, second in pairwise(names)):",
        "if False:",
    ),
    Bug(
        "a certificate's signatures are not checked",
        _CERTIFICATES,
        "if not verify(members.keys[signed.org], message, signed.signature):",
        "if False:",
    ),
    Bug("strangers may sign a certificate", _CERTIFICATES, "if strangers:", "if False:"),
    Bug(
        "no signature is checked",
        "engine/verified.py",
        "if not self._verify(public_key, message, signature):",
        "if False:",
    ),
    # What a block may hold
    Bug(
        "a transaction is included again",
        "ledger/system.py",
        'if back >= 0 and int.from_bytes(self.used, "big") >> back & 1:',
        "if False:",
    ),
    Bug("transactions of other chains", _APPLY, "if body.chain != chain:", "if False:"),
    Bug("transactions whose term is over", _APPLY, "if body.valid_until_ms < time_ms:", "if False:"),
    Bug(
        "transactions with any signature",
        _APPLY,
        "if not verify(right.key, transaction.signed, transaction.signature):",
        "if False:",
    ),
    Bug(
        "a parent's certificate for another block",
        _APPLY,
        "if certificate.height != position.height - 1 or certificate.block != position.parent:",
        "if False:",
    ),
    Bug(
        "a parent's certificate is not checked",
        _APPLY,
        "if reason := verify_certificate(position.chain, signers, certificate, VoteKind.COMMIT, verify):",
        "if reason := None:",
    ),
    Bug("results are not compared", _APPLY, "if getattr(header, field) != getattr(found, field):", "if False:"),
    Bug(
        "bodies under another root",
        "engine/assembly.py",
        "if transactions_root(bodies) == header.transactions_root:",
        "if True:",
    ),
    # Sync
    Bug(
        "a fetched block with another block's certificate",
        _HEAD,
        "if certificate.height != self.height + 1 or certificate.block != certified.block.digest:",
        "if False:",
    ),
    Bug(
        "a fetched block's certificate is not checked",
        _HEAD,
        "reason = verify_certificate(self.chain_id, self.members, certificate, VoteKind.COMMIT, self._verify)",
        "reason = None",
    ),
    Bug("votes before the blocks are durable", _REPLICA, "self._effects.append(SyncBlocks())", "pass"),
    Bug("the middle of a row counts as durable", _REPLICA, "if commit.durable:", "if True:"),
    Bug(
        "agreement goes on below a fetched block",
        _REPLICA,
        "self._unsynced = True\n            self._queue.append(consensus.Overtaken())",
        "self._unsynced = True",
    ),
    Bug(
        "a row of blocks that was not asked for",
        _CATCH_UP,
        "if len(heights) > asked.request.count or heights != expected:",
        "if False:",
    ),
    Bug(
        "a silent peer is waited for", _CATCH_UP, "if self._asked is None or now_ms < self._asked.until_ms:", "if True:"
    ),
    Bug(
        "a lowered tip is believed",
        _CATCH_UP,
        "if known is None or tip.height > known.height or (tip.height, tip.head) == (known.height, known.head):",
        "if True:",
    ),
    Bug("a liar is asked for the same snapshot again", "core/sync/machine.py", "self._liars.add(peer)", "pass"),
    Bug("any chunk is a part of the snapshot", _SNAPSHOT, "if tree.root != part.digest:", "if False:"),
    Bug(
        "a snapshot's parts need not give its header's state",
        _SNAPSHOT,
        "if upper_nodes(head.parts)[0] != trusted.header.state_root:",
        "if False:",
    ),
    # Membership and evidence
    Bug("one member decides", _MOTIONS, "if counted >= context.members.quorum:", "if counted >= 1:"),
    Bug("the last member may go", _MOTIONS, "if len(coming) == 1:", "if False:"),
    Bug("a candidate is ready with any state", _ENTERING, "if known != call.state_root:", "if False:"),
    Bug(
        "a halt is passed by",
        "engine/restraint.py",
        "return self.halt_at is not None and head >= self.halt_at",
        "return False",
    ),
    Bug(
        "all changes at once",
        "ledger/contracts/membership/changes.py",
        "return max(1, members.faults_max)",
        "return 100",
    ),
    Bug(
        "forged evidence suspends",
        _EVIDENCE,
        "if not context.frame.verify(signer, message, statement.signature):",
        "if False:",
    ),
    Bug("one statement twice suspends", _EVIDENCE, "if messages[0] == messages[1]:", "if False:"),
    Bug(
        "statements of different rounds suspend",
        _EVIDENCE,
        "if place != (second.org, second.kind, second.height, second.round) or first.round < 0:",
        "if False:",
    ),
    Bug(
        "a card needs no signature",
        "ledger/cards.py",
        "if not verify(body.organisation_key",
        "if False and not verify(body.organisation_key",
    ),
)
