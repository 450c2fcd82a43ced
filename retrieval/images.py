"""Pictures from outside: opened with distrust, brought to one form, written, told apart."""

import hashlib
import io
import stat
import struct
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from retrieval.colour import to_srgb

# What people keep photos in. Pillow knows more, among them EPS, which starts another program.
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "GIF", "BMP", "TIFF", "AVIF", "PPM")
MIN_SIDE = 8
JPEG_QUALITY = 92

_CONVERTIBLE = frozenset({"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"})
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SPARE = ((b"tEXt", b"zTXt", b"iTXt"), (b"iCCP",))  # texts, then the profile
# What Pillow's readers let through on damaged bytes, found by flipping and cutting bytes.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    LookupError,
    TypeError,
    OverflowError,
    RuntimeError,
)
# EXIF orientation -> what turns the pixels upright. Not ImageOps.exif_transpose: it also packs the
# remaining EXIF again, and fails on a sound photo whose other tags are malformed.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(ValueError):
    """A file cannot be used as a picture; the message completes "the file ..."."""


def open_picture(path: Path, max_megapixels: float) -> Image.Image:
    """Read one picture file as upright, opaque 8-bit sRGB, decoded to its last pixel.

    Args:
        path: The file, in one of `FORMATS`; its suffix does not matter.
        max_megapixels: Larger pictures are refused from their header, undecoded. Pillow's own
            limit (179 megapixels) holds too.

    Raises:
        PictureError: The file is missing, not a file, unreadable, empty, no picture, truncated,
            damaged, animated, too large, too small, or of a colour mode with no RGB meaning.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise PictureError("does not exist") from error
    except OSError as error:
        raise PictureError(_unreadable(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("is not a file")
    if status.st_size == 0:
        raise PictureError("is empty (0 bytes)")
    try:
        file = path.open("rb")
    except OSError as error:
        raise PictureError(_unreadable(error)) from error
    with file:
        return decode_picture(file, max_megapixels)


def decode_picture(file: BinaryIO, max_megapixels: float) -> Image.Image:
    """Read a picture from an open file or from `io.BytesIO`, as `open_picture` does.

    Raises:
        PictureError: As `open_picture`, for what the bytes can show.
    """
    _know_heif()
    try:
        return _decode(file, max_megapixels)
    except PictureError:
        raise
    except UnidentifiedImageError as error:
        msg = f"is not a picture; expected one of {', '.join(FORMATS)}"
        raise PictureError(msg) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        msg = f"has more pixels than can be decoded safely ({error}); scale it down"
        raise PictureError(msg) from error
    except _DAMAGE as error:
        msg = f"is truncated or damaged ({error})"
        raise PictureError(msg) from error


def jpeg_bytes(image: Image.Image, max_side: int, quality: int = JPEG_QUALITY) -> bytes:
    """An RGB picture as JPEG without metadata, scaled down to `max_side` pixels where larger."""
    scale = min(1.0, max_side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    scaled = image.copy() if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
    scaled.info.clear()  # Pillow would carry the comment over: a place, a name, another digest
    buffer = io.BytesIO()
    scaled.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def save_picture(image: Image.Image, path: Path, max_side: int) -> None:
    """Write an RGB picture as `jpeg_bytes` makes it."""
    path.write_bytes(jpeg_bytes(image, max_side))


def pixel_sha256(image: Image.Image) -> str:
    """SHA-256 of the size and the RGB pixels: equal for one picture kept in two lossless forms."""
    digest = hashlib.sha256(f"{image.width}x{image.height}\n".encode())
    digest.update(image.convert("RGB").tobytes())
    return digest.hexdigest()


@cache
def _know_heif() -> None:
    """Teach Pillow the form in which telephones save."""
    import pillow_heif

    pillow_heif.register_heif_opener()


def _decode(
    file: BinaryIO, max_megapixels: float, spare: tuple[tuple[bytes, ...], ...] = _PNG_SPARE
) -> Image.Image:
    """Read it, if need be without the first `spare` chunks of a PNG, without the next ones too."""
    try:
        return _decode_once(file, max_megapixels)
    except PictureError:
        raise
    except ValueError:  # Pillow's, where a PNG's texts or profile are large
        slim = _png_without(file, spare[0]) if spare else None
        if slim is None:
            raise
        return _decode(slim, max_megapixels, spare[1:])


def _decode_once(file: BinaryIO, max_megapixels: float) -> Image.Image:
    with Image.open(file, formats=FORMATS) as image:
        _hold_header(image, max_megapixels)
        image.load()
        return _upright(_opaque_rgb(image), image.getexif())


def _png_without(file: BinaryIO, chunks: tuple[bytes, ...]) -> io.BytesIO | None:
    """A PNG without chunks whose size Pillow limits; None if it is no PNG.

    Pillow's own limits are the process's, and other threads may be decoding.
    """
    file.seek(0)
    content = file.read()
    if not content.startswith(_PNG):
        return None
    kept, start = [_PNG], len(_PNG)
    while start < len(content):
        length = int.from_bytes(content[start : start + 4], "big")
        end = start + length + 12  # with the length itself, the type and the checksum
        if content[start + 4 : start + 8] not in chunks:
            kept.append(content[start:end])
        start = end
    return io.BytesIO(b"".join(kept))


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror})"


def _hold_header(image: Image.Image, max_megapixels: float) -> None:
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        msg = (
            f"has {width} x {height} = {width * height / 1e6:.4g} megapixels,"
            f" more than the {max_megapixels:g} allowed; scale it down"
        )
        raise PictureError(msg)
    if min(width, height) < MIN_SIDE:
        msg = f"has {width} x {height} pixels, expected {MIN_SIDE} at least on each side"
        raise PictureError(msg)
    # Phones write MPO and HEIF, with other views of the shot behind the photo, which is opened.
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "HEIF"):
        raise PictureError("is animated or has several pages; expected one still picture")


def _opaque_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        rgba = to_srgb(image.convert("RGBA"))
        paper = Image.new("RGB", rgba.size, "white")
        paper.paste(rgba, mask=rgba.getchannel("A"))
        return paper
    if image.mode not in _CONVERTIBLE:
        raise PictureError(f"has colour mode {image.mode}; save it as 8-bit RGB")
    return to_srgb(image if image.mode in ("L", "CMYK") else image.convert("RGB")).convert("RGB")


def _upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    turn = _UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65535 to 0..255; Pillow's own conversion clips at 255."""
    values = np.asarray(image).clip(0, 65535).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
