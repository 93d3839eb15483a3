"""INFQ's tensor layouts (docs/infq.md): sizes, and the packing of blocks of rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

PANEL_ROWS = 16  # also the lanes that `rows` pads K to
_TILE_K = 4
INT4_GROUP = 32


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclasses.dataclass(frozen=True)
class Rows:
    """float32 [N][Kp], K padded with zeros to a multiple of 16; a vector is one row."""

    n: int
    k: int

    @property
    def row_bytes(self) -> int:
        return round_up(self.k, PANEL_ROWS) * 4

    @property
    def data_bytes(self) -> int:
        return self.n * self.row_bytes

    def pack(self, weights: NDArray[np.float32]) -> bytes:
        """[n, K] float32 to its bytes."""
        padded = np.zeros((len(weights), self.row_bytes // 4), "<f4")
        padded[:, : self.k] = weights
        return padded.tobytes()


def _pad(weights: NDArray[Any], padded_k: int) -> NDArray[Any]:
    padded = np.zeros((round_up(len(weights), PANEL_ROWS), padded_k), weights.dtype)
    padded[: len(weights), : weights.shape[1]] = weights
    return padded


@dataclasses.dataclass(frozen=True)
class Panels:
    """panel16x4: int8 [Np/16][Kp/4][16][4] and bfloat16 scales [Np/16][Kp/group][16]."""

    n: int
    k: int
    group: int

    @property
    def padded_k(self) -> int:
        return round_up(self.k, self.group)

    @property
    def data_bytes(self) -> int:
        return round_up(self.n, PANEL_ROWS) * self.padded_k

    @property
    def scale_bytes(self) -> int:
        return self.data_bytes // self.group * 2

    def pad(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, K] to [n rounded up to 16, Kp], padded with zeros."""
        return _pad(weights, self.padded_k)

    def pack_data(self, q: NDArray[np.int8]) -> bytes:
        """[16 * panels, Kp] int8 to its bytes."""
        tiles = q.reshape(-1, PANEL_ROWS, self.padded_k // _TILE_K, _TILE_K)
        return tiles.transpose(0, 2, 1, 3).tobytes()

    def pack_scales(self, bits: NDArray[np.uint16]) -> bytes:
        """[16 * panels, Kp / group] bfloat16 bits to their bytes."""
        panels = bits.reshape(-1, PANEL_ROWS, self.padded_k // self.group)
        return panels.transpose(0, 2, 1).astype("<u2").tobytes()


@dataclasses.dataclass(frozen=True)
class Int4Panels:
    """panel16x8: two uint4 a byte, [Np/16][Kp/8][16][4], k + j below and k + 4 + j above; binary16
    scales and minima [Np/16][Kp/32][2][16]."""

    n: int
    k: int
    group: int = INT4_GROUP

    @property
    def padded_k(self) -> int:
        return round_up(self.k, self.group)

    @property
    def data_bytes(self) -> int:
        return round_up(self.n, PANEL_ROWS) * self.padded_k // 2

    @property
    def scale_bytes(self) -> int:
        return self.data_bytes // self.group * 8

    def pad(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, K] to [n rounded up to 16, Kp], padded with zeros."""
        return _pad(weights, self.padded_k)

    def pack_data(self, q: NDArray[np.uint8]) -> bytes:
        """[n, K or Kp] uint8 in 0 ... 15 to the bytes of whole panels."""
        padded = _pad(q, self.padded_k)
        tiles = padded.reshape(-1, PANEL_ROWS, self.padded_k // 8, 2, _TILE_K)
        return (tiles[:, :, :, 0] | tiles[:, :, :, 1] << 4).transpose(0, 2, 1, 3).tobytes()

    def pack_scales(self, scales: NDArray[np.float16], minima: NDArray[np.float16]) -> bytes:
        """Twice [n, Kp / group] float16 to the bytes of whole panels."""
        groups = self.padded_k // self.group
        both = np.stack([_pad(scales, groups), _pad(minima, groups)])
        panels = both.reshape(2, -1, PANEL_ROWS, groups)
        return panels.transpose(1, 3, 0, 2).astype("<f2").tobytes()
