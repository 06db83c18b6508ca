"""Names of organisations, digests, heights, and moments."""

import re
from functools import lru_cache
from typing import NamedTuple, NewType

from node.base.codec import register_check, register_size

OrgId = NewType("OrgId", str)
"""An organisation's name in the network: 1 to 63 of a-z, 0-9, '-' and '_', the first a letter or digit."""

Digest = NewType("Digest", bytes)
"""A SHA-256 hash, 32 bytes."""

PublicKey = NewType("PublicKey", bytes)
"""An Ed25519 or X25519 public key, 32 bytes."""

Signature = NewType("Signature", bytes)
"""An Ed25519 signature, 64 bytes."""

Height = NewType("Height", int)
"""A block's place in the chain. The genesis has height 0 and no block; the first block has height 1."""

FIRST_HEIGHT = Height(1)
ZERO_DIGEST = Digest(bytes(32))
GENESIS_HEIGHT = Height(0)

_ORG_ID_CHARACTERS_MAX = 63
"""Nothing longer is kept as judged: a peer may send texts of megabytes where a name belongs."""
_ORG_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
# [0-9] and not \d: the latter's meaning follows Python's version of Unicode.
_DATA_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_JUDGED_MAX = 1_024
"""Names whose judgement is kept: the same few stand in every message."""


def is_org_id(text: str) -> bool:
    """Whether `text` can be an organisation's name."""
    return len(text) <= _ORG_ID_CHARACTERS_MAX and _fits_org_id(text)


@lru_cache(maxsize=_JUDGED_MAX)
def _fits_org_id(text: str) -> bool:
    return _ORG_ID.match(text) is not None


def is_data_name(text: str) -> bool:
    """Whether `text` can be a data set's name, without the owner."""
    return _DATA_NAME.match(text) is not None


def data_owner(data: str) -> OrgId | None:
    """The owner of a data set called `owner/name`; None where `data` is not of this form."""
    owner, slash, name = data.partition("/")
    return OrgId(owner) if slash and is_org_id(owner) and is_data_name(name) else None


register_size(Digest, 32)
register_size(PublicKey, 32)
register_size(Signature, 64)
register_check(OrgId, is_org_id)
register_check(Height, lambda height: height >= 0)


def earliest(*moments_ms: int | None) -> int | None:
    """The first of these moments; None where none is due."""
    first = None
    for moment_ms in moments_ms:
        if moment_ms is not None and (first is None or moment_ms < first):
            first = moment_ms
    return first


class Instant(NamedTuple):
    """A moment as one member sees it.

    Deadlines are kept in `mono_ms`, which no clock correction moves; only block times are held against `wall_ms`.
    """

    mono_ms: int
    """Milliseconds of a clock that never goes backwards, from an arbitrary start."""
    wall_ms: int
    """Milliseconds since 1970-01-01 UTC, as right as the machine's clock is."""
