"""Files that people, and worse, upload as photos; made by code."""

import io
import struct
import zipfile
import zlib

from PIL import Image

from tests.services.tiny_engine import photo

MARK = b"<script>alert(1)</script>"  # what no stored photo may carry on
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><script>1</script></svg>'
PLACE = (51.0, 28.0, 38.0)


def png_bomb(side=30_000):
    """A PNG of a few hundred bytes that says it has 900 megapixels."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def animated():
    file = io.BytesIO()
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def zip_file():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.html", MARK)
    return file.getvalue()


def telling(orientation=1):
    """A JPEG that says where it was taken, and a word more; red on the left, blue on the right."""
    image = Image.new("RGB", (64, 32), "red")
    image.paste((0, 0, 255), (32, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "at home"
    exif.get_ifd(0x8825)[2] = PLACE
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, comment=b"at home", quality=95)
    return file.getvalue()


def cmyk():
    file = io.BytesIO()
    Image.new("CMYK", (64, 64), (0, 200, 200, 0)).save(file, "JPEG")
    return file.getvalue()


JPEG = photo()
REFUSED = {  # each with a word of the sentence
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "truncated or damaged"),
    "only a header": (JPEG[:20], "not a picture"),
    "bomb": (png_bomb(), "pixels"),
    "SVG": (SVG, "not a picture"),
    "text": (b"hello", "not a picture"),
    "PDF": (b"%PDF-1.7\n" + b"0" * 400, "not a picture"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "not a picture"),
    "ZIP": (zip_file(), "not a picture"),
    "0 bytes": (b"", "empty"),
    "11 MB": (JPEG + bytes(11_000_000), "10 MB"),
    "animated": (animated(), "animated"),
    "tiny": (photo(side=6), "expected 8 at least"),
}
CLEANED = {  # pictures, but not only; what is kept is a picture and nothing else
    "GIF and ZIP": photo(format_="GIF") + zip_file(),
    "JPEG and HTML": JPEG + MARK,
    "HTML in a comment": photo(comment=MARK),
    "EXIF with a place": telling(),
    "CMYK": cmyk(),
    "wrong name": photo(format_="PNG"),
}
