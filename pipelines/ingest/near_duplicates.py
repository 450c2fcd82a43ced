"""Near-duplicates: one picture kept twice, in another format, size or quality.

A perceptual hash of 256 bits is compared pair by pair. It is of the grey picture, stretched to a
square, so colours do not count; it does not find a mirrored, turned or cropped
one, nor a second photo of the same thing (docs/experiments.md#near-duplicates).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.run.stage import progress

# Of 1,435 photos saved again, as JPEG of quality 25 to 95 or at half size, all lie within 24 bits
# of themselves; of the million pairs of different photos the closest differ in 60 (two shots of
# one skirt: 38), and of the studio's half a million pairs in 42.
MAX_DISTANCE = 24

_SIDE = 16  # of the square of frequencies that gives the bits
_WORDS = _SIDE * _SIDE // 64
_BLOCK = 512  # pictures; a block against a block fits the processor's cache


class Near(NamedTuple):
    """Two near-duplicates."""

    first: int  # place in the list of pictures
    second: int  # a later place
    distance: int  # bits


def hash_pictures(paths: Sequence[Path]) -> NDArray[np.uint64]:
    """The perceptual hash of each picture, 256 bits as four words: (N, 4)."""
    import imagehash

    hashes = np.empty((len(paths), _WORDS), np.uint64)
    for place, path in enumerate(progress(paths, "hashing pictures")):
        with Image.open(path) as picture:
            bits = imagehash.phash(picture, hash_size=_SIDE).hash
        hashes[place] = np.packbits(bits).view(np.uint64)
    return hashes


def find_near(hashes: NDArray[np.uint64], max_distance: int = MAX_DISTANCE) -> list[Near]:
    """All pairs of pictures that differ in `max_distance` bits at most, in order.

    A bit says whether a frequency is above the median, so half of them are set, unless many
    frequencies are equal: in a blank picture or a plain gradient. All of those hash alike,
    whatever their colour, so they are near to nothing.

    Args:
        hashes: (N, 4), as `hash_pictures` gives them.
        max_distance: In bits, of 256.
    """
    (places,) = np.nonzero(np.bitwise_count(hashes).sum(axis=1) == _SIDE * _SIDE // 2)
    compared = hashes[places]
    near = []
    for top in range(0, len(compared), _BLOCK):
        for left in range(top, len(compared), _BLOCK):
            distances = _distances(compared[top : top + _BLOCK], compared[left : left + _BLOCK])
            rows, columns = np.nonzero(distances <= max_distance)
            near += [
                Near(
                    int(places[top + row]), int(places[left + column]), int(distances[row, column])
                )
                for row, column in zip(rows, columns, strict=True)
                if top + row < left + column
            ]
    return sorted(near)


def _distances(rows: NDArray[np.uint64], columns: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Bits in which each row differs from each column: (R, 4), (C, 4) -> (R, C)."""
    distances = np.zeros((len(rows), len(columns)), np.uint16)  # a negative differs in 256
    for word in range(_WORDS):
        distances += np.bitwise_count(rows[:, word, None] ^ columns[None, :, word])
    return distances
