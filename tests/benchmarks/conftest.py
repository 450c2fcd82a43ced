"""The two published benchmarks in small, in the form in which they are published."""

import csv
import json

import pytest
from PIL import Image

from benchmarks.published.conconchi import read_conconchi
from benchmarks.published.perval import read_perval


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    color = tuple(path.name.encode()[:3])
    Image.new("RGB", (24, 24), color).save(path, "JPEG")


def annotation(label, concepts, truths, more=(), kind="single"):
    full = {"LABEL": label, "CONCEPTS": concepts, "GTS": truths, "ADDITIONAL GTS": list(more)}
    return full | {"KIND": kind, "ENV": "home"}


TRAIN = [
    annotation("*", [3], ["t1.jpg", "t2.jpg"]),
    annotation("*", [3], ["t2.jpg", "t3.jpg"]),  # t2 again
    annotation("*", [5], ["t4.jpg"]),
]
TEST = [
    annotation("* on a table", [3], ["a.jpg"], ["b.jpg", "t3.jpg"]),  # t3 is a training picture
    annotation("* on the floor", [3], ["b.jpg"], ["nowhere.jpg"]),  # in no row's GTS
    annotation("* beside *", [3, 5], ["ab.jpg", "ab.jpg"]),
    annotation("* in a box", [5], ["c.jpg"], ["ab.jpg"]),
    annotation("a toy on a table", [], ["n1.jpg", "n2.jpg"], kind="negative"),
    annotation("a bear", [5], ["n3.jpg"], kind="negative"),
]


def names_of(paths):
    return [str(path).rsplit("/", maxsplit=1)[-1] for path in paths]


def queries_of(data, kind):
    return {
        (query["text"], *query["concepts"]): names_of(query["truths"])
        for query in data.queries
        if query["kind"] == kind
    }


CODES = {"101": [f"p{n}.jpg" for n in range(9)], "202": ["q0.jpg", "q0.jpg"]}
NAMES = [("101", "dress"), ("202", "long sleeve top"), ("303", "vest")]
POOL = [
    ("g1.jpg", "A person in the street.", "101"),
    ("g2.jpg", "A person on a sofa.", "101"),
    ("g3.jpg", "A person in a park.", "202"),
    ("g4.jpg", "A person in a park.", "999"),  # of no concept: a distractor
    ("q0.jpg", "A person.", "202"),  # learned from, so not searched
]
SHORT = [
    ("g1.jpg", "a person outdoors", "101"),
    ("g3.jpg", "photo of a person behind persons", "202"),
    ("v1.jpg", "a person", "303"),  # of the other split
]


@pytest.fixture
def conconchi(tmp_path):
    """Writes the dataset, and returns how to read it."""

    def make(train=TRAIN, test=TEST, without=()):
        annotations = tmp_path / "data" / "annotations"
        annotations.mkdir(parents=True)
        for name, rows in (("train", train), ("test", test)):
            (annotations / f"{name}.json").write_text(json.dumps({"data": rows}))
        for each in (*TRAIN, *TEST):
            for name in (*each["GTS"], *each["ADDITIONAL GTS"]):
                if name not in without:
                    picture(tmp_path / "data" / "images" / name)
        return read_conconchi(tmp_path, "thing")

    return make


@pytest.fixture
def perval(tmp_path):
    """Writes the dataset, and returns how to read it."""

    def make(blocks=CODES, short=SHORT, names=NAMES, without=()):
        lines = [f"codes_infer/{c}:\n" + "\n".join(some) + "\n" for c, some in blocks.items()]
        (tmp_path / "test_fsl_train.txt").write_text("\n".join(lines))
        columns = ["image_name", "caption", "pair_id"]
        for file, header, rows in (
            ("train_coarse_grained_names.csv", ["unique_pair_ids", "pair_id_categories"], names),
            ("test_captions.csv", columns, POOL),
            ("shortened_deepfashion2_captions.csv", columns, short),
        ):
            with (tmp_path / file).open("w", newline="") as stream:
                csv.writer(stream).writerows([header, *rows])
        pictures = [name for some in CODES.values() for name in some]
        for name in {*pictures, *(line[0] for line in POOL)} - set(without):
            picture(tmp_path / "train" / "image" / name)
        return read_perval(tmp_path)

    return make
