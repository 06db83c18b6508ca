"""The one byte form of everything that is signed, hashed, stored or sent between members.

`encode` and `decode` work from the type hints of frozen dataclasses, so a type is its own layout:

===================  =====================================================================
type                 bytes
===================  =====================================================================
``bool``             one byte, 0 or 1
``int``              eight bytes, big-endian, two's complement
``IntEnum``          one byte
``bytes``, ``str``   length in four bytes, then the bytes (UTF-8)
sized ``NewType``    exactly `SIZES[type]` bytes, no length
``tuple[T, ...]``    count in four bytes, then the items
``T | None``         one byte, 0 or 1, then the value
dataclass            its fields in order
``A | B``            one byte, the index in the union, then the dataclass
===================  =====================================================================

There is exactly one encoding of a value and `decode` refuses every other: what was signed is never
re-serialised differently. Decoding is bounded by the input: counts are held against the bytes that
are left, and nothing is read past the end. `hints` say what a type's form is; `writing` and `reading` make writers
and readers from them, as source; `layout` is both for a value.
"""

from node.base.codec.hints import DecodeError, keeps_bytes, register_check, register_size
from node.base.codec.layout import decode, encode

__all__ = ["DecodeError", "decode", "encode", "keeps_bytes", "register_check", "register_size"]
