"""What the viewers share: messages of a JSON header and raw bytes, and how files become assets."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Arrays", "declared", "pack", "read_assets", "token"]

_FOLDER = Path(__file__).parent


def read_assets(*names: str) -> str:
    """Text of files beside this one, one after the other."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def declared() -> None:
    """Declare a state or trigger name, as Streamlit wants a callback for each."""


def pack(header: dict[str, Any], body: bytes) -> bytes:
    """Put a length, a JSON header and raw bytes into one message."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


def token(header: dict[str, Any], body: bytes) -> str:
    """Name a message by its content: parts that arrive apart are put together by their names."""
    return hashlib.blake2b(pack(header, body), digest_size=8).hexdigest()


class Arrays:
    """Arrays of one body, each of which is stored once, however often it is added."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[str, bytes], int] = {}
        self._size = 0

    def add(self, array: npt.NDArray[Any]) -> tuple[str, int, int]:
        """Store an array, and return its type, its first byte and its length for the header."""
        kind = array.dtype.name
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        start = self._chunks.setdefault((kind, data), self._size)
        if start == self._size:
            self._size += len(data)
        return kind, start, array.size

    def add_small(self, numbers: npt.NDArray[np.integer]) -> tuple[str, int, int]:
        """Store integers from 0 on in as few bytes as the largest one needs."""
        return self.add(numbers.astype(np.min_scalar_type(int(numbers.max(initial=0)))))

    def body(self) -> bytes:
        """All that was stored."""
        return b"".join(data for _, data in self._chunks)
