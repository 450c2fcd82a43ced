"""A bundle that anybody has touched is refused, and the file that was touched is named."""

import io
import json
import os
import pickle
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from registry.bundle import open_bundle
from registry.checksums import SUMS, write_sums
from registry.executable import why_executable
from tests.registry.golden_bundle import GOLDEN

UNCOVERED = ("format_version", SUMS, SUMS, SUMS)  # the first is read before any digest


@pytest.fixture
def bundle(tmp_path) -> Path:
    shutil.copytree(GOLDEN / "format_5/bundle", tmp_path / "bundle")
    return tmp_path / "bundle"


def refused(folder: Path) -> str:
    with pytest.raises(ValueError, match="got ") as error:
        open_bundle(folder)
    return str(error.value)


@pytest.mark.parametrize("count", [200, pytest.param(4_000, marks=pytest.mark.slow)])
def test_any_flipped_bit_of_any_file_is_found(bundle, count):
    """Of each file as many, wherever; of the two files that no digest covers more."""
    open_bundle(bundle)
    draw = random.Random(count)
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    draws = [*files, *(bundle / name for name in UNCOVERED)] * (count // len(files))
    for path in draws:
        before = path.read_bytes()
        changed = bytearray(before)
        changed[draw.randrange(len(before))] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        message = refused(bundle)
        # A wrong digest or path is blamed on the file that it is about.
        assert path.relative_to(bundle).as_posix() in message or path.name == SUMS, message
        path.write_bytes(before)
    open_bundle(bundle)


def test_a_missing_file_is_named(bundle):
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.unlink()
        assert f"{path}: got no such file" in refused(bundle)
        path.write_bytes(content)


def test_an_empty_folder_is_no_concept(bundle):
    (bundle / "concepts/evil").mkdir()
    assert open_bundle(bundle).concept_names == ("rex",)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("model/config.json", "../metrics.json"),
        ("model/config.json", "/etc/hostname"),
        ("extra", "metrics.json"),
        ("format_version", "../outside"),
        (SUMS, "../outside"),
        ("concepts", "../elsewhere"),
    ],
)
def test_a_link_is_refused_even_to_equal_content(bundle, name, target):
    path = bundle / name
    if path.is_dir():
        shutil.move(path, bundle.parent / "elsewhere")
    elif path.exists():
        shutil.copy(path, bundle.parent / "outside")
        path.unlink()
    path.symlink_to(target)
    message = refused(bundle)
    assert str(path) in message
    if name != SUMS:
        assert f"got a link to {target}" in message


def test_the_bundles_own_folder_may_be_a_link(bundle, tmp_path):
    (tmp_path / "link").symlink_to(bundle)
    assert open_bundle(tmp_path / "link").concept_names == ("rex",)


def test_a_pipe_is_refused_and_not_read(bundle):
    os.mkfifo(bundle / "model/pipe")
    assert "pipe: got something that is no file" in refused(bundle)


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/hostname", "model/../metrics.json", "./metrics.json", "a\\b", ".."]
)
def test_a_path_that_leaves_the_folder_is_refused(bundle, path):
    with (bundle / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {path}\n")
    assert f"got path {path!r}, expected paths inside of the bundle" in refused(bundle)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + text.splitlines(keepends=True)[0],
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\x0b", 1),
        lambda text: text.upper(),
        lambda text: "",
    ],
    ids=["twice", "no end", "windows", "vertical tab", "upper case", "empty"],
)
def test_sums_of_another_form_are_refused(bundle, spoil):
    path = bundle / SUMS
    path.write_bytes(spoil(path.read_bytes().decode()).encode())
    assert str(bundle) in refused(bundle)


@pytest.mark.parametrize("version", ["6", "7", "10", "99", "1", "five", "5.1", "", "\x85"])
def test_other_formats_are_refused_and_newer_ones_called_so(bundle, version):
    from registry.bundle import _READABLE

    if version in _READABLE:
        pytest.skip("this release reads it")
    (bundle / "format_version").write_text(version, encoding="latin-1")
    write_sums(bundle)
    message = refused(bundle)
    assert "format_version: got" in message
    assert ("a newer release wrote it" in message) == (version in {"6", "7", "10", "99"})


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


def _saved(save) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Evil()))
    return file.getvalue()


PICKLES = {
    **{f"protocol {p}": pickle.dumps(Evil(), protocol=p) for p in range(6)},
    "then rubbish": pickle.dumps(Evil())[:-1] + b"\x00\xff\x00",
    "of data alone": pickle.dumps({"a": [1, 2]}),
    "by hand": b"cos\nsystem\n(S'true'\ntR.",
    "an instance by hand": b"(S'true'\nios\nsystem\n.",
    "torch": _saved(lambda file: torch.save({"w": torch.zeros(2)}, file)),
    "torch before 1.6": _saved(
        lambda file: torch.save({"w": torch.zeros(2)}, file, _use_new_zipfile_serialization=False)
    ),
    "numpy": _saved(lambda file: np.save(file, np.array([None]), allow_pickle=True)),
    "numpy archive": _saved(lambda file: np.savez(file, a=np.zeros(1))),
    "archive": _zip(),
}


@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_what_could_run_code_is_refused_by_its_content(bundle, content):
    path = bundle / "model/config.json"
    path.write_bytes(content)
    assert f"{path}: got a" in (message := refused(bundle))
    assert "could run code" in message
    with pytest.raises(ValueError, match="could run code"):
        write_sums(bundle)  # nor is a new bundle made with it


@pytest.mark.parametrize(
    "name", ["weights.pt", "model.BIN", "a.pkl", "b.pickle", "c.npy", "d.ckpt"]
)
def test_what_could_run_code_is_refused_by_its_name(bundle, name):
    (bundle / "model" / name).write_text("harmless")
    assert f"{name}: got a file called" in refused(bundle)


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"caption\nsecond line\nthird.", b"cat\ndog\ntree.", b"it is\nfor people.",
        b"import os\nimport re\n", b"# A card.\n", json.dumps({"a": 1}).encode(),
        b"\x80\x02\x00\x00\x00\x00\x00\x00{}",  # safetensors with a header of 640 bytes
        b"\x80\x04K\x00\x00\x00\x00\x00{}",
        b"PAR1\x15\x04\x15",
    ],
)  # fmt: skip
def test_texts_weights_and_tables_are_no_pickles(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert why_executable(tmp_path / "file") is None


def test_mlflows_file_is_foreign_at_the_top_alone(bundle):
    (bundle / "registered_model_meta").write_text("model_name: kindred")
    open_bundle(bundle)
    (bundle / "model/registered_model_meta").write_text("model_name: kindred")
    assert "model/registered_model_meta: got" in refused(bundle)
