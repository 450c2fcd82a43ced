import pytest
from PIL import ExifTags, Image

from pipelines.labelling.teachers.pictures import Pictures
from pipelines.labelling.teachers.protocol import TeacherError
from tests.pipelines.labelling.teachers.openai_setup import ask_one, decode_picture, teacher_maker


@pytest.fixture
def make(tmp_path, monkeypatch):
    return teacher_maker(tmp_path, monkeypatch)


def test_a_picture_is_upright_small_and_bare(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "somebody"
    Image.new("RGB", (100, 50), "red").save(tmp_path / "a.jpg", exif=exif, comment=b"a place")
    row = {"product_id": "a", "image": "a.jpg", "image_sha256": ""}
    url = Pictures(tmp_path, 336, [row]).data_url("a")
    picture = decode_picture(url)
    assert picture.size == (50, 100)  # not enlarged
    assert not picture.getexif()
    assert "comment" not in picture.info


@pytest.mark.parametrize("content", [None, b"not a picture", b""])
def test_a_picture_that_cannot_be_shown_is_named(make, tmp_path, content):
    path = tmp_path / "images" / "green.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TeacherError, match=r"images/green\.png.*dvc repro catalog"):
        ask_one(make())
