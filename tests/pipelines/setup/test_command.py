"""`kindred init`, as somebody uses it."""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import Image

from pipelines.run.params import load_params
from pipelines.setup.command import init
from tests.pipelines.ingest.drawings import drawing
from tests.pipelines.setup.conftest import Project

KINDS = [f"{kind}/{number}.png" for kind in ("mugs", "vases") for number in range(12)]


def tabled(project: Project, count: int = 24) -> None:
    """Products with captions, prices and attributes, and personas who want them."""
    names = [f"{number}.png" for number in range(count)]
    project.draw(*names)
    colours = ["red", "blue"]
    project.products(
        *(
            {
                "product_id": f"id{n}",
                "image": name,
                "title": f"Title {n}",
                "caption": f"a {colours[n % 2]} thing",
                "price": "12.50",
                "attr.colour": colours[n % 2],
            }
            for n, name in enumerate(names)
        )
    )
    project.personas(*({"wants": {f"colour={colours[n % 2]}": 1.0}} for n in range(20)))


def test_pictures_alone_become_a_table_with_folders_as_categories(project: Project) -> None:
    project.draw(*KINDS)
    (project.mine / "mugs" / "clip.mov").write_bytes(b"no picture")
    (project.mine / ".hidden.png").write_bytes(b"no picture")
    done = project.init("mine", "--write")
    assert done.exit_code == 0, done.output
    said = project.table(done.output)
    assert said["pictures"] == "24 in 2 folders"
    assert said["categories"] == "2: mugs 12, vases 12"
    assert said["captions"] == "0 of 24"
    assert said["other files"] == "1 (1 .mov): not read"
    rows = project.rows()
    assert len({row["product_id"] for row in rows}) == 24
    assert [row["image"] for row in rows] == sorted(KINDS)
    assert {(row["category"], row["title"], row["caption"]) for row in rows} == {
        ("mugs", "", ""),
        ("vases", "", ""),
    }


def test_names_that_differ_are_ids(project: Project) -> None:
    project.draw("all/a.png", "all/b.png", "all/deep/c.png")
    project.init("mine", "--write")
    assert [(row["product_id"], row["category"]) for row in project.rows()] == [
        ("a", ""),
        ("b", ""),
        ("c", "deep"),
    ]


def test_without_write_nothing_changes(project: Project) -> None:
    project.draw(*KINDS)
    before = {path: path.read_bytes() for path in project.top.rglob("*") if path.is_file()}
    done = project.init("mine")
    assert done.exit_code == 0, done.output
    assert "Next: 1. kindred init mine --write\n" in done.output
    assert {path: path.read_bytes() for path in project.top.rglob("*") if path.is_file()} == before


def test_what_cannot_be_used_is_named_and_left_out(project: Project) -> None:
    project.draw(*KINDS)
    (project.mine / "broken.jpg").write_bytes(b"\xff\xd8\xff, and then nothing")
    drawing(0).save(project.mine / "vases" / "once more.bmp")  # mugs/0.png again
    Image.open(project.mine / "mugs" / "1.png").resize((80, 60)).save(project.mine / "small.png")
    done = project.init("mine", "--write")
    said = project.table(done.output)
    assert said["unreadable"].startswith("1: broken.jpg: is ")
    assert said["twice the same"] == "1: vases/once more.bmp = mugs/0.png"
    assert said["nearly the same"] == "1: mugs/1.png ~ small.png"
    assert {row["image"] for row in project.rows()} == {*KINDS, "small.png"}


def test_a_table_is_read_and_never_written(project: Project) -> None:
    tabled(project)
    project.draw("spare.png", first=90)
    before = (project.mine / "products.csv").read_bytes()
    done = project.init("mine", "--write")
    assert done.exit_code == 0, done.output
    assert (project.mine / "products.csv").read_bytes() == before
    said = project.table(done.output)
    assert said["pictures"] == "25 in 1 folder"
    assert said["products"] == "products.csv: 24 of 24 rows can be used"
    assert said["in no row"] == "1 picture; add rows to products.csv to use them"
    assert said["captions"] == "24 of 24, 2 different"
    assert said["prices"] == "24 of 24"
    assert said["attributes"] == "1: colour 24"
    assert said["personas"] == "20: 20 with wants (a product meets those of 20), 0 with facets"


def test_a_picture_that_a_row_names_is_in_a_row_whatever_is_wrong_with_it(project: Project) -> None:
    (project.mine / "broken.jpg").write_bytes(b"nothing")
    project.draw("a.png", "spare.png")
    rows = [{"product_id": "a", "image": "./A.png"}, {"product_id": "b", "image": "broken.jpg"}]
    project.products(*rows, {"product_id": "c", "image": "a.png"})
    said = project.table(project.init("mine").output)
    assert said["unreadable"].count("broken.jpg: is not a picture") == 1
    assert said["in no row"].startswith("1 picture;")


def test_rows_at_fault_are_named_and_an_obstacle(project: Project) -> None:
    project.draw("a.png", "b.png")
    same = {"product_id": "x", "price": "cheap"}
    project.products(same | {"image": "a.png"}, same | {"image": "b.png", "price": "3"})
    project.draw("c.png", first=5)
    with (project.mine / "products.csv").open("a") as file:
        file.write("y,,c.png\n")
    done = project.init("mine")
    assert "2: row 1 ('x'): price is 'cheap', expected a number" in done.output
    assert "row 2 ('x'): product_id 'x' is already that of row 1" in done.output
    assert "2 of 3 rows of products.csv cannot be used, more than catalog.max_reject" in done.output


def test_the_written_parameters_load_and_fit(project: Project) -> None:
    tabled(project)
    done = project.init("mine", "--write")
    params = load_params()
    assert (params.catalog.source, params.catalog.folder) == ("folder", Path("mine"))
    assert params.base.model == "minilm-efficientnet-lite0"
    assert params.teacher.kind == "simulated"
    assert sum(params.label.band_sizes) <= 24 * params.catalog.split.train
    assert "Next: 1. dvc repro\n" in done.output
    again = project.init("mine")
    assert "the lines that fit it\n  nothing changes\n" in again.output


def test_a_larger_folder_takes_back_what_a_small_one_changed(project: Project) -> None:
    tabled(project)
    project.init("mine", "--write")
    small = project.params["label"]["groups"]
    tabled(project, count=120)
    project.init("mine", "--write")
    assert project.params["label"]["groups"] >= small
    assert project.params["label"]["band_sizes"] == [4, 4, 2, 2]


def test_a_folder_elsewhere_is_named_in_full(project: Project, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("elsewhere")
    project.mine = other
    project.draw(*KINDS)
    project.init(str(other), "--write")
    assert project.params["catalog"]["folder"] == other.as_posix()


def test_wants_that_nothing_meets_ask_for_a_model(project: Project) -> None:
    tabled(project)
    project.personas(*({"wants": {"material=wood": 1.0}} for _ in range(20)))
    done = project.init("mine", "--write")
    assert project.params["teacher"]["kind"] == "openai"
    assert "start a server for a vision-language model" in done.output
    assert "min, at 3 s a call, 8 at once" in done.output
    assert "? US dollars: teacher.usd_per_million_* are 0" in done.output
    params = project.top / "params.yaml"
    params.write_text(params.read_text().replace("input_tokens: 0.0", "input_tokens: 100.0"))
    assert re.search(r"money +[1-9][0-9.]+ US dollars\n", project.init("mine").output)


def test_some_unmet_wants_are_an_obstacle(project: Project) -> None:
    tabled(project)
    wants = [{"colour=red": 1.0}] * 18 + [{"material=wood": 1.0}] * 2
    project.personas(*({"wants": each} for each in wants))
    assert "2 of 20 personas want nothing that a product has" in project.init("mine").output


def test_personas_and_captions_that_are_missing_are_to_be_written(project: Project) -> None:
    project.draw(*KINDS)
    project.init("mine", "--write")
    assert project.params["captions"]["kind"] == "openai"
    assert project.params["personas"]["kind"] == "openai"


def test_few_pictures_are_too_few(project: Project) -> None:
    project.draw("a.png", "b.png", "c.png")
    project.personas({}, {})
    said = project.init("mine").output
    assert "3 pictures are too few" in said
    assert "2 personas are too few for three splits" in said


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("none", "none does not exist; expected a folder of pictures"),
        ("params.yaml", "params.yaml is a file; expected a folder of pictures"),
        ("mine", "mine holds no pictures; put JPEG, PNG or WebP files into it"),
        (".", ". holds the project itself; expected a folder of pictures alone"),
        ("..", ".. holds the project itself; expected a folder of pictures alone"),
    ],
)
def test_what_is_no_folder_of_pictures_is_refused(project: Project, folder: str, said: str) -> None:
    done = project.init(folder)
    assert done.exit_code == 2
    assert said in done.output


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_changed(
    project: Project, monkeypatch
) -> None:
    def refuse(folder: Path, rows: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(folder))

    project.draw(*KINDS)
    before = project.params
    monkeypatch.setattr("pipelines.setup.files.write_table", refuse)
    done = project.init("mine", "--write")
    assert done.exit_code == 2
    assert "mine: products.csv cannot be written (Permission denied)" in done.output
    assert project.params == before


def test_pictures_none_of_which_can_be_read_are_refused(project: Project) -> None:
    (project.mine / "a.jpg").write_bytes(b"nothing")
    done = project.init("mine", "--write")
    assert done.exit_code == 2
    assert "none of 1 pictures can be used; the first: a.jpg: is not a picture" in done.output
    assert not (project.mine / "products.csv").exists()


def test_a_table_that_cannot_be_read_is_refused(project: Project) -> None:
    project.draw("a.png")
    (project.mine / "products.csv").write_text("product_id,title\nx,y\n")
    done = project.init("mine")
    assert (done.exit_code, "products.csv lacks 'image'" in done.output) == (2, True)


def test_outside_a_project_it_says_where_to_go(project: Project) -> None:
    (project.top / "params.yaml").unlink()
    done = project.init("mine")
    assert done.exit_code == 2
    assert "params.yaml is missing: run this from the project's top folder" in done.output


def test_a_reader_that_has_enough_is_no_wrong_usage(project: Project, monkeypatch) -> None:
    def close(*_: object) -> NoReturn:
        raise BrokenPipeError

    project.draw(*KINDS)
    monkeypatch.setattr("pipelines.setup.command.click.echo", close)
    assert isinstance(project.init("mine").exception, BrokenPipeError)


@pytest.mark.parametrize("arguments", [[], ["mine", "more"], ["mine", "--wrote"]])
def test_wrong_usage(project: Project, arguments: list[str]) -> None:
    assert project.init(*arguments).exit_code == 2


def test_the_entry_point_that_the_project_declares_is_the_command() -> None:
    declared = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    points = declared["project"]["entry-points"]["kindred.commands"]
    assert EntryPoint("init", points["init"], "kindred.commands").load() is init
