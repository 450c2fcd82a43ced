"""A picture that is looked for: read, encoded before its query's turn comes, by one version."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from retrieval.encoder import Encoder

MAX_MEGAPIXELS = 64.0
SIDE = 1024  # pixels that are kept of it: more than any image tower looks at


class Picture:
    """A picture, with what the last encoder that looked at it made of it."""

    def __init__(self, image: "Image.Image") -> None:
        """Keep an RGB picture."""
        self._image = image
        self._pixels: tuple[Encoder, torch.Tensor] | None = None
        self._vector: tuple[Encoder, NDArray[np.float32]] | None = None

    def pixels(self, encoder: "Encoder") -> "torch.Tensor":
        """As an encoder takes it, uint8 (3, S, S)."""
        if self._pixels is None or self._pixels[0] is not encoder:
            self._pixels = (encoder, encoder.pixels(self._image))
        return self._pixels[1]

    def vector(self, encoder: "Encoder") -> NDArray[np.float32]:
        """Its unit vector (D,); computed now only where `see` did not do so by this encoder."""
        if self._vector is None or self._vector[0] is not encoder:
            see(encoder, [self])
        assert self._vector is not None
        return self._vector[1]

    def remember(self, encoder: "Encoder", vector_D: NDArray[np.float32]) -> None:
        """Keep what an encoder made of it."""
        self._vector = (encoder, vector_D)


def read_picture(uploaded: bytes, encoder: "Encoder") -> Picture:
    """A picture as it was uploaded, with its pixels ready for an encoder.

    Raises:
        PictureError: It is no picture that can be read.
    """
    from PIL import Image

    from retrieval.images import decode_picture

    image = decode_picture(io.BytesIO(uploaded), MAX_MEGAPIXELS)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)  # many may wait at once
    picture = Picture(image)
    picture.pixels(encoder)
    return picture


def see(encoder: "Encoder", pictures: Sequence[Picture]) -> Sequence[Picture]:
    """Encode pictures in one go, so that their queries find their vectors ready; the same back."""
    import torch

    vectors_ND = encoder.encode_pixels(torch.stack([one.pixels(encoder) for one in pictures]))
    for one, vector_D in zip(pictures, vectors_ND, strict=True):
        one.remember(encoder, vector_D)
    return pictures
