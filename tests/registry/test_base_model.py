"""What a bundle carries of the base model, and the base model that it makes of the student."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from registry.base_model import BASE_MODEL, WEIGHTS, lay_over, write_difference
from registry.bundle import open_bundle
from registry.checksums import write_sums
from retrieval.encoder import create_encoder, load_encoder, save_encoder
from tests.tiny_model import write_tiny_model


def test_only_what_differs_is_written(tmp_path):
    write_tiny_model(tmp_path / "base")
    write_tiny_model(tmp_path / "student", visual=2.0)
    write_difference(tmp_path / "base", tmp_path / "student", tmp_path / "made" / "differs")
    found = load_file(tmp_path / "made" / "differs")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"visual.w": [0.0, 0.0]}
    assert (tmp_path / "made" / "differs").stat().st_mode & 0o777 == 0o644  # others may read it


def test_the_base_model_comes_back_bit_by_bit(tmp_path):
    torch.manual_seed(0)
    base = create_encoder("minilm-resnet10t", None)
    save_encoder(base, tmp_path / "base")
    pictures = torch.randint(0, 256, (3, 3, 128, 128), dtype=torch.uint8)
    by_base = base.encode_pixels(pictures)
    with torch.no_grad():
        next(base.model.visual.head.parameters()).mul_(1.5)
    save_encoder(base, tmp_path / "student")
    write_difference(tmp_path / "base", tmp_path / "student", tmp_path / "differs.safetensors")
    assert (tmp_path / "differs.safetensors").stat().st_size < 2_000_000
    student = load_encoder(tmp_path / "student")
    assert not np.allclose(student.encode_pixels(pictures), by_base)
    lay_over(student, tmp_path / "differs.safetensors")
    assert student.encode_pixels(pictures).tobytes() == by_base.tobytes()
    save_file({"visual.other": np.ones(2, np.float32)}, tmp_path / "differs.safetensors")
    with pytest.raises(
        ValueError, match=r"tensors \['visual.other'\] .*register the version again"
    ):
        lay_over(student, tmp_path / "differs.safetensors")


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"visual.w": np.ones(2, np.float32)}, r"tensors \['text.w'\]"),
        ({"text.w": np.ones(2, np.float32), "visual.w": np.ones(3, np.float32)}, "shape of visual"),
    ],
)
def test_a_model_of_another_form_is_refused(tmp_path, tensors, fault):
    write_tiny_model(tmp_path / "base")
    shutil.copytree(tmp_path / "base", tmp_path / "student")
    save_file(tensors, tmp_path / "student" / WEIGHTS)
    with pytest.raises(ValueError, match=rf"no base model and its student: .*{fault}"):
        write_difference(tmp_path / "base", tmp_path / "student", tmp_path / "differs")
    (tmp_path / "base" / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match="no model folder"):
        write_difference(tmp_path / "base", tmp_path / "student", tmp_path / "differs")


def test_a_bundle_of_format_5_opens_without(bundle_folder):
    shutil.rmtree((bundle_folder / BASE_MODEL).parent)
    (bundle_folder / "format_version").write_text("5\n")
    write_sums(bundle_folder)
    bundle = open_bundle(bundle_folder)
    assert not bundle.has_base_model
    with pytest.raises(ValueError, match="has no base model: register again, `dvc repro`"):
        bundle.make_base(None)
