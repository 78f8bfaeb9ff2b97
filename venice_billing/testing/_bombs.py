"""Small bodies that expand to very large ones."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING

from attrs import evolve

from venice_billing.testing._fault import Fault

if TYPE_CHECKING:
    from venice_billing.testing._responses import Response

_LISTS_A_BLOCK = 1 << 18


def gzip_bomb(size: int = 1 << 28) -> Fault:
    """Send a small gzip stream that unpacks to `size` bytes of white space and an empty object."""

    def change(response: Response) -> Response:
        block = b" " * (1 << 20)
        return evolve(response, body=_bomb(b"", block, size // len(block), b"{}")).with_header(
            "content-encoding", "gzip"
        )

    return Fault("gzip bomb", change)


def bomb_of_lists(count: int = 10_000_000) -> Fault:
    """Send a small gzip stream of `[[],[],...]`: unpacked, a list takes 3 bytes, and about 64 as a Python object."""

    def change(response: Response) -> Response:
        blocks, rest = divmod(max(count - 1, 0), _LISTS_A_BLOCK)
        packed = _bomb(b"[", b"[]," * _LISTS_A_BLOCK, blocks, b"[]," * rest + b"[]]")
        return evolve(response, body=packed).with_header("content-encoding", "gzip")

    return Fault("bomb of lists", change)


@cache
def _bomb(head: bytes, block: bytes, count: int, tail: bytes) -> bytes:
    """Return a gzip stream of `head`, `count` times `block`, and `tail`, without holding it unpacked in memory."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # After a full flush the compressed block depends on nothing before it, so it can be repeated as it is.
    packed_head = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed_block = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packed_head + packed_block * count + packer.compress(tail) + packer.flush()
    checksum = zlib.crc32(head)
    for _ in range(count):
        checksum = zlib.crc32(block, checksum)
    size = len(head) + count * len(block) + len(tail)
    trailer = struct.pack("<II", zlib.crc32(tail, checksum), size & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + packed + trailer
