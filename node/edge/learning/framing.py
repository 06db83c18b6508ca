"""How the daemon and its learning process speak: frames over the process's stdin and stdout.

A frame is a head of 12 bytes (length of the JSON header, u32; length of the body, u64; big-endian), the header, and
the body: the raw parts one after another, their lengths listed in the header under `parts`.
A request names what to `do`; it is answered by any number of `progress` frames and then one `done` or `error`.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

HEAD: Final = struct.Struct(">IQ")
HEADER_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 1024 * 1024 * 1024


class FrameError(Exception):
    """The other side does not speak this protocol, or died in the middle of a frame."""


def frame_head(header: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
    """Head and header of a frame; the parts follow it as they are, so that nothing large is copied."""
    text = json.dumps({**header, "parts": [len(part) for part in parts]}).encode()
    return HEAD.pack(len(text), sum(len(part) for part in parts)) + text


def read_head(head: bytes) -> tuple[int, int]:
    """(header bytes, body bytes). Raises `FrameError` beyond the limits."""
    header_length, body_length = HEAD.unpack(head)
    if header_length > HEADER_BYTES_MAX or body_length > BODY_BYTES_MAX:
        raise FrameError("the frame is larger than allowed")
    return header_length, body_length


def read_header(data: bytes, body_length: int) -> dict[str, Any]:
    """The header, whose `parts` fill the body exactly. Raises `FrameError`."""
    try:
        header = json.loads(data)
    except ValueError as error:
        raise FrameError("the header is not JSON") from error
    if not isinstance(header, dict) or not isinstance(parts := header.get("parts"), list):
        raise FrameError("the header lists no parts")
    if not all(isinstance(part, int) and part >= 0 for part in parts) or sum(parts) != body_length:
        raise FrameError("the parts do not fill the body")
    return header


def cut_body(header: Mapping[str, Any], body: bytes) -> list[bytes]:
    """The parts of a frame."""
    parts = []
    start = 0
    for length in header["parts"]:
        # A body of one part is handed on as it is: it may be a whole model.
        parts.append(body if length == len(body) else body[start : start + length])
        start += length
    return parts
