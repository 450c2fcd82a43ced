"""Colours as the picture's profile means them, in sRGB: what models and screens take pixels for.

Telephones save Display P3 and cameras Adobe RGB; read as sRGB, their reds and greens are dull.
"""

import io

from PIL import Image, ImageCms

# Colour space of a profile -> modes of pictures that it can be of.
_MODES = {"RGB": ("RGB", "RGBA"), "CMYK": ("CMYK",), "GRAY": ("L",)}
# What ImageCms and its readers raise for a profile that is broken.
_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError, RuntimeError)


def to_srgb(image: Image.Image) -> Image.Image:
    """The picture with its colours converted to sRGB, as RGB, or as RGBA if it is that.

    Without a profile, with one that is broken or of another kind of picture, and with sRGB's own,
    it comes back as it is.
    """
    content = image.info.get("icc_profile")
    if not content:
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if _is_srgb(profile) or image.mode not in _MODES.get(_space(profile), ()):
            return image
        return _convert(image, profile)
    except _BROKEN:  # the pixels are sound; most profiles differ little from sRGB
        return image


def _space(profile: ImageCms.ImageCmsProfile) -> str:
    return str(profile.profile.xcolor_space).strip()


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """By its name: a conversion to itself would round pixels."""
    return "srgb" in (profile.profile.profile_description or "").lower()


def _convert(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGBA" if image.mode == "RGBA" else "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:  # it is that only in place, which was not asked for
        msg = "no picture came of the conversion"
        raise ValueError(msg)
    return converted
