"""Colour profiles, held to their formula: primaries and a gamma, there and back."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from retrieval.images import decode_picture

# Columns: red, green, blue as XYZ under D50, as the profiles of these names carry them.
SRGB = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
DISPLAY_P3 = np.array(
    [[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
GAMMA = 563 / 256  # Adobe's 2.2
COLOURS = [(200, 80, 60), (60, 160, 90), (90, 90, 200), (128, 128, 128), (255, 255, 255)]


def _fixed(values: np.ndarray) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(primaries: np.ndarray, name: str) -> bytes:
    """A matrix profile, version 2 (ICC.1:2001)."""
    text = name.encode() + b"\0"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(GAMMA * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + _fixed(np.array([0.9642, 1, 0.8249])),
        **{
            letter + b"XYZ": b"XYZ " + bytes(4) + _fixed(column)
            for letter, column in zip((b"r", b"g", b"b"), primaries.T, strict=True)
        },
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    start = 128 + 4 + 12 * len(tags)
    index, body = struct.pack(">I", len(tags)), b""
    for key, content in tags.items():
        index += key + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += _fixed(np.array([0.9642, 1, 0.8249]))
    return head.ljust(128, b"\0") + index + body


def by_formula(colour: tuple[int, ...], primaries: np.ndarray) -> np.ndarray:
    linear = np.linalg.inv(SRGB) @ primaries @ ((np.array(colour) / 255) ** GAMMA)
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return 255 * encoded


def swatches(mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (8 * len(COLOURS), 8))
    for number, colour in enumerate(COLOURS):
        image.paste(colour, (8 * number, 0, 8 * number + 8, 8))
    return image


def read(image: Image.Image, form: str = "PNG", **options: object) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, form, **options)
    pixels = np.asarray(decode_picture(io.BytesIO(file.getvalue()), 64)).astype(float)
    return pixels[4, 4::8]


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_profile_is_converted_to_srgb(primaries: np.ndarray, form: str) -> None:
    exact = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    content = profile(primaries, "wide")
    got = read(swatches(), form, icc_profile=content, **exact.get(form, {}))
    expected = np.array([by_formula(colour, primaries) for colour in COLOURS])
    assert np.abs(got - expected).max() <= 4
    assert np.abs(got[0] - COLOURS[0]).max() > 10  # red is another one


def test_a_large_text_does_not_cost_a_png_its_profile() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("history", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    got = read(swatches(), icc_profile=profile(DISPLAY_P3, "wide"), pnginfo=notes)
    assert np.abs(got[0] - by_formula(COLOURS[0], DISPLAY_P3)).max() <= 4


def test_a_profile_that_is_too_large_to_unpack_is_left_out() -> None:
    large = profile(DISPLAY_P3, "wide") + bytes(PngImagePlugin.MAX_TEXT_CHUNK)
    got = read(swatches(), icc_profile=large)
    assert got.tolist() == np.array(COLOURS).tolist()


def test_a_transparent_picture_is_converted_too() -> None:
    image = swatches().convert("RGBA")
    image.putalpha(255)
    image.paste((0, 0, 0, 0), (0, 0, 8, 8))
    got = read(image, icc_profile=profile(DISPLAY_P3, "wide"))
    assert got[0].tolist() == [255, 255, 255]
    assert np.abs(got[1] - by_formula(COLOURS[1], DISPLAY_P3)).max() <= 4


def test_srgbs_own_profile_changes_no_pixel() -> None:
    got = read(swatches(), icc_profile=profile(SRGB, "sRGB IEC61966-2.1"))
    assert got.tolist() == np.array(COLOURS).tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"no profile at all",
        profile(DISPLAY_P3, "wide")[:200],
        profile(DISPLAY_P3, "wide").replace(b"RGB ", b"CMYK"),
        profile(DISPLAY_P3, "wide").replace(b"rXYZ", b"none"),
        bytes(300),
    ],
)
def test_a_broken_profile_is_ignored_and_the_picture_read(content: bytes) -> None:
    assert read(swatches(), icc_profile=content).tolist() == np.array(COLOURS).tolist()


def test_a_profile_of_colours_on_a_grey_picture_is_ignored() -> None:
    grey = swatches().convert("L")
    got = read(grey, icc_profile=profile(DISPLAY_P3, "wide"))
    assert got[:, 0].tolist() == np.asarray(grey)[4, 4::8].tolist()
