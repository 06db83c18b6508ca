"""Every number of the transport: sizes, counts and times. Both ends hold to the same ones."""

from node.edge.transport.versions import Versions

PROTOCOL_VERSIONS = Versions(3, 3)
"""What this program speaks. A change of frames or messages that an older node cannot read is a new version."""
SOFTWARE_CHARACTERS_MAX = 32

CONTROL_MESSAGE_BYTES_MAX = 2 << 20
"""A block of 1 MiB with its certificate, or a few smaller ones, and room; also all messages of one frame."""
MESSAGES_PER_FRAME_MAX = 256
CHUNK_BYTES_MAX = 2 << 20
REQUEST_BYTES_MAX = 64 << 10
REFUSAL_CHARACTERS_MAX = 500
HELLO_BYTES_MAX = 1 << 10
INSTANCE_BYTES = 8
FRAME_BYTES_MAX = 2 * CONTROL_MESSAGE_BYTES_MAX
"""What gRPC itself lets through. The exact limits are checked frame by frame, so that a breach is logged under its
name; beyond this one gRPC's core ends the call and does not say why."""

QUEUE_MESSAGES_MAX = 4_096
QUEUE_BYTES_MAX = 16 << 20
"""Control messages that wait for one peer. Beyond, it is too slow: the link is cut and made anew."""

FETCHES_PER_PEER_MAX = 8
"""Requests in flight to one peer, and answers in flight to it; more wait at the asker."""
CHUNK_OVERHEAD_BYTES = 1 << 10
"""What a chunk costs besides its body, so that many tiny ones are bounded too."""
WINDOW_BYTES = 2 * (CHUNK_BYTES_MAX + CHUNK_OVERHEAD_BYTES)
"""What an answerer may send before the reader has taken it: the most that a slow reader holds per request."""
CREDIT_BYTES = WINDOW_BYTES // 2
"""The reader grants what it has taken in steps of this."""
CHUNKS_QUEUED_MAX = 2
"""Chunks that wait for the stream at an answerer, over all answers."""
URGENT_QUEUED_MAX = 256
"""Requests, credits and cancels that wait for the stream; beyond, the peer reads too slowly."""

REQUESTS_PER_S = 200.0
REQUESTS_AT_ONCE = 400
"""Of one peer's requests; further ones wait for their answer's beginning, and with them its places for others."""
IDLE_FRAMES_PER_S = 100.0
IDLE_FRAMES_AT_ONCE = 2_000
"""Credits and cancels for answers that are over: a few cross with the last chunk, more are a flood."""

CONNECTIONS_MAX = 1_024
"""Connections that are let begin a handshake or are through: two for each member and way, and room. gRPC closes more
at once; it tells Python nothing of their addresses, so that this one number must do for all."""
HANDSHAKE_TIMEOUT_MS = 5_000
"""A connection that has not finished its TLS handshake by then is closed."""
REFUSALS_LOGGED_PER_S = 1.0
REFUSALS_LOGGED_AT_ONCE = 20
"""Of one kind; the others are counted only, so that whoever knocks without end does not fill the disk with log."""

HELLO_TIMEOUT_S = 5.0
BULK_WAIT_S = 5.0
"""How long a fetch waits for the bulk connection of a peer whose control link is up."""
FETCH_IDLE_S = 15.0
"""A fetch gives up when no chunk comes for this long."""
ANSWER_IDLE_S = 60.0
"""An answer gives up when its reader takes nothing for this long."""
HANDSHAKE_GRACE_S = 10.0
"""A connection that made no call for this long did not get through the handshake (or came for nothing)."""

DIAL_HIGHER_WAIT_S = 0.2
"""The higher organisation lets the lower one dial first, so that both dial rarely."""
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0
FAILED_DIALS_MAX = 5
"""After so many in a row a peer is dialled only where something answers at all: a failed dial leaks in gRPC's core."""
LINK_PROVEN_S = 2.0
"""A link that lived this long starts the back-off anew."""

RENEW_FIRST_S = 0.5
RENEW_MAX_S = 60.0
"""How soon a link with an older certificate is dialled anew, and how rarely while that fails: a peer's ledger may be
behind. An old certificate opens links for an hour more."""
RENEWALS_COUNTED_MAX = 16
RENEWING_MAX = 4
"""Links dialled to one peer for a newer certificate that have not ended: one in use, others that retire."""
RETIRED_LOOK_S = 2.0
RETIRED_LOOKS_MAX = 30
"""A replaced link stays open for what is under way, and ends at the second look or later that finds nothing."""

CERTIFICATES_CACHED_MAX = 1_024

KEEPALIVE_INTERVAL_MS = 5_000
KEEPALIVE_TIMEOUT_MS = 5_000
STREAMS_PER_CONNECTION_MAX = 4
