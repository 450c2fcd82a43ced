"""Every fault that a picture file may have, made on the spot."""

import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin
from pillow_heif import register_heif_opener

from retrieval.images import (
    MIN_SIDE,
    PictureError,
    decode_picture,
    open_picture,
    pixel_sha256,
    save_picture,
)

SIZE = (24, 16)
register_heif_opener()  # so that the tests can write it


def photo(size: tuple[int, int] = SIZE, seed: int = 0) -> Image.Image:
    """Distinct pixels everywhere, so that no rotation looks like another."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def opened(content: bytes, max_megapixels: float = 64) -> Image.Image:
    return decode_picture(io.BytesIO(content), max_megapixels)


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("PPM", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 100, "subsampling": 0}, 6),
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 6),
        ("HEIF", {"quality": 100, "chroma": 444}, 6),
    ],
)
def test_reads_every_form(form: str, options: dict[str, object], tolerance: int) -> None:
    picture = opened(encoded(photo(), form, **options))
    assert (picture.mode, picture.size) == ("RGB", SIZE)
    assert np.abs(pixels(picture) - pixels(photo())).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_turns_every_exif_orientation_upright(orientation: int, form: str) -> None:
    upright = pixels(photo())
    # How a camera held that way stores the upright picture (EXIF 2.3, tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    content = encoded(Image.fromarray(stored.astype(np.uint8)), form, exif=exif, **options)
    assert np.array_equal(pixels(opened(content)), upright)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_telephones_heic_is_upright(orientation: int) -> None:
    left_red = Image.new("RGB", (64, 32), "blue")
    left_red.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(left_red, "HEIF", exif=exif.tobytes(), quality=95)
    assert (b"irot" in content) == (orientation != 1)  # HEIF turns by a box of its own
    picture = opened(content)
    x, y = {1: (8, 16), 3: (56, 16), 6: (16, 8)}[orientation]
    assert picture.size == ((32, 64) if orientation == 6 else (64, 32))
    assert picture.getpixel((x, y))[0] > 200


def test_of_several_pictures_in_a_heic_the_main_one_is_read() -> None:
    file = io.BytesIO()
    photo().save(file, "HEIF", save_all=True, append_images=[photo(seed=1)], quality=100)
    assert opened(file.getvalue()).size == SIZE


def test_a_damaged_heic_is_refused_and_a_large_one_undecoded() -> None:
    content = encoded(photo((64, 64)), "HEIF")
    with pytest.raises(PictureError, match=r"truncated or damaged|is not a picture"):
        opened(content[: len(content) // 2])
    with pytest.raises(PictureError, match="megapixels"):
        opened(content, 0.001)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_png_with_large_metadata_is_read(compressed: bool, where: str) -> None:
    chunk, texts = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    notes = PngImagePlugin.PngInfo()
    size = chunk + 1 if compressed else texts + 1
    notes.add_text("history", "x" * size, zip=compressed)
    content = encoded(photo(), "PNG", pnginfo=notes)
    if where == "after":  # as some programs write it: behind the pixels
        start = content.index(b"zTXt" if compressed else b"tEXt") - 4
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        content = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    with pytest.raises(ValueError, match=r"text chunk|too large"):
        Image.open(io.BytesIO(content)).load()
    assert np.array_equal(pixels(opened(content)), pixels(photo()))
    assert chunk == PngImagePlugin.MAX_TEXT_CHUNK
    assert texts == PngImagePlugin.MAX_TEXT_MEMORY


def test_a_png_with_large_metadata_and_damaged_pixels_is_refused() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("history", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    content = encoded(photo(), "PNG", pnginfo=notes)
    with pytest.raises(PictureError, match="truncated or damaged"):
        opened(content[: content.index(b"IDAT") + 40])


def test_a_jpeg_taken_sideways_is_upright() -> None:
    left_red = Image.new("RGB", (32, 16), "blue")
    left_red.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to view
    picture = opened(encoded(left_red, "JPEG", exif=exif))
    assert picture.size == (16, 32)
    assert picture.getpixel((8, 4))[0] > 200  # red is on top


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0rubbish", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff"])
def test_malformed_exif_does_not_cost_the_photo(exif: bytes) -> None:
    assert opened(encoded(photo(), "JPEG", exif=exif)).size == SIZE


def test_exif_that_cannot_be_packed_again_does_not_cost_the_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0103] = 6
    content = encoded(photo(), "JPEG", exif=exif)
    assert content.count(b"\x01\x03\x00\x03") == 1  # tag 0x0103, a SHORT; now a BYTE
    content = content.replace(b"\x01\x03\x00\x03", b"\x01\x03\x00\x01")
    assert opened(content).size == (SIZE[1], SIZE[0])


def test_cmyk_becomes_rgb() -> None:
    flat = Image.new("RGB", SIZE, (200, 30, 60))
    picture = opened(encoded(flat.convert("CMYK"), "JPEG", quality=100))
    assert np.abs(pixels(picture) - pixels(flat)).max() <= 6


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(form: str) -> None:
    image = photo().convert("RGBA")
    image.putalpha(0)
    image.paste((10, 20, 30, 255), (0, 0, 8, 8))
    image.paste((0, 0, 0, 128), (8, 0, 16, 8))
    options = {"lossless": True} if form == "WEBP" else {}
    picture = opened(encoded(image, form, **options))
    assert picture.getpixel((0, 0)) == (10, 20, 30)
    assert picture.getpixel((8, 0)) == (127, 127, 127)
    assert picture.getpixel((20, 12)) == (255, 255, 255)


def test_grey_with_alpha_is_laid_on_white() -> None:
    picture = opened(encoded(Image.new("LA", SIZE, (0, 0)), "PNG"))
    assert picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(form: str) -> None:
    image = Image.new("P", SIZE, 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(0, (0, 0, 8, 8))
    picture = opened(encoded(image, form, transparency=0))
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((20, 12)) == (0, 0, 255)


def test_one_transparent_colour_is_white() -> None:
    image = Image.new("RGB", SIZE, "blue")
    image.paste("red", (0, 0, 8, 8))
    picture = opened(encoded(image, "PNG", transparency=(255, 0, 0)))
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((20, 12)) == (0, 0, 255)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_range(form: str) -> None:
    values = np.array([0, 128, 129, 257, 32768, 65535], dtype=np.uint16)
    image = Image.fromarray(np.tile(values.repeat(4), (16, 1)))
    picture = pixels(opened(encoded(image, form)))
    assert picture.shape == (16, 24, 3)
    assert picture[0, ::4, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_bilevel_become_rgb(mode: str) -> None:
    picture = opened(encoded(Image.new(mode, SIZE, 255), "PNG"))
    assert (picture.mode, picture.getpixel((0, 0))) == ("RGB", (255, 255, 255))


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_a_mode_without_rgb_meaning_is_refused(mode: str) -> None:
    with pytest.raises(PictureError, match=f"colour mode {mode}"):
        opened(encoded(Image.new(mode, SIZE), "TIFF"))


CODECS: list[tuple[str, dict[str, object]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("AVIF", {}),
]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(("form", "options"), CODECS)
def test_truncation_is_found_wherever_it_costs_a_pixel(
    form: str, options: dict[str, object]
) -> None:
    content = encoded(photo((32, 32)), form, **options)
    whole, lengths = pixels(opened(content)), range(1, len(content), 7)
    refused = 0
    for length in (*lengths, len(content) - 1):
        try:
            assert np.array_equal(pixels(opened(content[:length])), whole)
        except PictureError:
            refused += 1
    assert refused > 0.9 * len(lengths)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of what it finds damaged
@pytest.mark.parametrize(("form", "options"), CODECS)
def test_damaged_bytes_give_a_picture_or_a_reason(form: str, options: dict[str, object]) -> None:
    source, chance = encoded(photo(), form, **options), random.Random(0)
    for _ in range(200):
        content = bytearray(source)
        for _ in range(chance.choice([1, 3])):
            content[chance.randrange(min(len(content), 200))] = chance.randrange(256)
        try:
            picture = opened(bytes(content), 1)
        except PictureError:
            continue
        assert picture.mode == "RGB"


def test_two_views_of_one_shot_are_not_an_animation() -> None:
    content = encoded(photo(), "MPO", save_all=True, append_images=[photo(seed=1)], quality=100)
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, getattr(image, "is_animated", False)) == ("MPO", True)
    plain = opened(encoded(photo(), "JPEG", quality=100))
    assert np.array_equal(pixels(opened(content)), pixels(plain))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_several_frames_are_refused(form: str) -> None:
    content = encoded(photo(), form, save_all=True, append_images=[photo(seed=1)])
    with pytest.raises(PictureError, match="animated or has several pages"):
        opened(content)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_a_single_frame_is_a_picture(form: str) -> None:
    assert opened(encoded(photo(), form, save_all=True)).size == SIZE


@pytest.mark.parametrize("side", [20000, 12000])  # beyond Pillow's own limit, and below it
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_small_file_with_huge_pixels_is_refused_undecoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (side, side)).save(path)
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="scale it down"):
        open_picture(path, 64)


def test_the_limit_on_megapixels_itself_is_allowed() -> None:
    content = encoded(photo((100, 100)), "PNG")
    assert opened(content, 0.01).size == (100, 100)
    with pytest.raises(PictureError, match=r"100 x 100 = 0\.01 megapixels, more than the 0\.0099"):
        opened(content, 0.0099)


def test_a_sliver_is_refused() -> None:
    assert opened(encoded(photo((MIN_SIDE, 40)), "PNG")).size == (MIN_SIDE, 40)
    with pytest.raises(PictureError, match="40 x 7 pixels"):
        opened(encoded(photo((40, MIN_SIDE - 1)), "PNG"))


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture at all " * 100)
    (tmp_path / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    reasons = {
        "missing.jpg": "does not exist",
        "text.jpg/below.jpg": "does not exist",
        "nul\0.jpg": "does not exist",
        "n" * 300 + ".jpg": "cannot be read",
        "loop.jpg": "cannot be read",
        "empty.jpg": "empty",
        "text.jpg": "is not a picture",
        "drawing.jpg": "is not a picture",
        "pipe.jpg": "is not a file",
        "": "is not a file",
    }
    for name, reason in reasons.items():
        with pytest.raises(PictureError, match=reason):
            open_picture(tmp_path / name, 64)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    photo().save(tmp_path / "shut.png")
    (tmp_path / "shut.png").chmod(0)
    with pytest.raises(PictureError, match="Permission denied"):
        open_picture(tmp_path / "shut.png", 64)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda image: image, True),
        (lambda image: image.transpose(Image.Transpose.ROTATE_180), False),
        (lambda image: image.resize((12, 32)), False),
    ],
)
def test_pixels_name_a_picture(change: Callable[[Image.Image], Image.Image], same: bool) -> None:
    png = opened(encoded(photo(), "PNG"))
    bmp = opened(encoded(change(photo()), "BMP"))
    assert (pixel_sha256(png) == pixel_sha256(bmp)) is same


def test_equal_bytes_of_another_shape_are_another_picture() -> None:
    wide, high = Image.new("RGB", (32, 8)), Image.new("RGB", (8, 32))
    assert pixel_sha256(wide) != pixel_sha256(high)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((24, 16), (24, 16)), ((400, 100), (64, 16)), ((100, 400), (16, 64)), ((9000, 8), (64, 1))],
)
def test_saving_scales_down_and_never_up(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    save_picture(photo(size), tmp_path / "copy.jpg", 64)
    with Image.open(tmp_path / "copy.jpg") as copy:
        assert (copy.format, copy.mode, copy.size) == ("JPEG", "RGB", expected)


def test_a_copy_carries_no_metadata_and_its_bytes_follow_from_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "home address"
    tagged = opened(encoded(photo(), "PNG", exif=exif))
    tagged.info |= {"comment": b"a secret", "icc_profile": b"x" * 100}
    save_picture(tagged, tmp_path / "tagged.jpg", 64)
    save_picture(photo(), tmp_path / "plain.jpg", 64)
    assert (tmp_path / "tagged.jpg").read_bytes() == (tmp_path / "plain.jpg").read_bytes()
    assert tagged.info["comment"] == b"a secret"  # the caller's picture is left as it was


def test_pillow_is_left_as_it_was(tmp_path: Path) -> None:
    limit, lenient = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    photo().save(tmp_path / "a.png")
    open_picture(tmp_path / "a.png", 500)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert lenient == ImageFile.LOAD_TRUNCATED_IMAGES
