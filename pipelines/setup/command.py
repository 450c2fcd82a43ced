"""The verb `kindred init`: looks at a folder, and makes params.yaml fit it.

`kindred` finds it by its entry point (group kindred.commands in pyproject.toml), so that its
package need not know this one. Libraries are imported when it runs: `kindred --help` is fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipelines.run.params import Params
    from pipelines.setup.sizes import Sizes
    from pipelines.setup.survey import Found

_EXAMPLES = """\b
Examples:
  kindred init photos            look at the folder photos, change nothing
  kindred init photos --write    write photos/products.csv if there is none, and params.yaml
  dvc repro                      then: label, train, judge, register"""
_MORE = "photos/README.md says what it may hold"


@click.command(epilog=_EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--write", is_flag=True, help="Write products.csv where there is none, and params.yaml."
)
def init(folder: Path, write: bool) -> None:
    """Make a folder of pictures a catalogue.

    Looks at FOLDER: pictures alone, with a sub-folder a category if you like, or with tables of
    products, personas and subjects (photos/README.md). Says what it found, which lines of
    params.yaml fit it, and what a run will take: calls of the teacher, money, minutes.
    """
    try:
        _init(folder, write)
    except BrokenPipeError:  # of the output, as in `kindred init photos | head`
        raise
    except (SystemExit, OSError) as error:  # what readers say of a user's file
        raise click.UsageError(str(error)) from error


def _init(folder: Path, write: bool) -> None:
    from pipelines.ingest.pictures import PictureLimits
    from pipelines.run.params import PARAMS, load_params
    from pipelines.setup.survey import look

    params = load_params()
    _refuse_other_than_folder(folder)
    found = look(folder, PictureLimits(params.catalog.max_megapixels, params.catalog.max_side))
    _refuse_nothing(found)
    text = PARAMS.read_text(encoding="utf-8")
    _report(found, params, text, write)


def _report(found: "Found", params: "Params", text: str, write: bool) -> None:
    """Say everything, and write what there is to write."""
    from pipelines.run.params import PARAMS, Params
    from pipelines.run.params_file import read_params_file
    from pipelines.setup.forecast import forecast
    from pipelines.setup.params_file import change_values
    from pipelines.setup.plan import make_plan
    from pipelines.setup.report import describe, describe_doubts, describe_forecast, describe_plan
    from pipelines.setup.sizes import measure

    content, _ = read_params_file(text)
    sizes = measure(found, params.catalog.held_out_wishes)
    lines = make_plan(found, sizes, params, Path())
    changed = change_values(text, lines)
    planned = Params.model_validate(read_params_file(changed)[0])
    needs = forecast(found, sizes, planned)
    click.echo(f"{describe(found)}\n\n{PARAMS}: the lines that fit it")
    click.echo(f"{describe_plan(lines, content)}\n")
    click.echo(f"{describe_forecast(needs, planned.teacher.kind)}\n")
    if doubts := describe_doubts(sizes):
        click.echo(f"{doubts}\n")
    if write:
        _write(found, changed)
    for number, step in enumerate(_steps(found, planned, sizes, write), 1):
        click.echo(f"{'Next:' if number == 1 else '':<5} {number}. {step}")


def _refuse_other_than_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise click.UsageError(f"{folder} {what}; expected a folder of pictures: {_MORE}")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise click.UsageError(
            f"{folder} holds the project itself; expected a folder of pictures alone, as photos is"
        )


def _refuse_nothing(found: "Found") -> None:
    folder = found.folder
    if not (found.files.pictures or found.files.unnameable):
        raise click.UsageError(
            f"{folder} holds no pictures; put JPEG, PNG or WebP files into it, or into folders of"
            f" it that name categories: {_MORE}"
        )
    if not found.products:
        first = [*found.unreadable, *found.faults][0]
        raise click.UsageError(
            f"{folder}: none of {len(found.files.pictures)} pictures can be used; the first:"
            f" {first}"
        )


def _write(found: "Found", changed: str) -> None:
    from pipelines.run.params import PARAMS
    from pipelines.setup.files import write_table
    from retrieval.storage.files import atomic_file

    if not found.table:
        try:
            path = write_table(found.folder, [product.row for product in found.products])
        except OSError as error:
            msg = f"{found.folder}: products.csv cannot be written ({error.strerror or error})"
            raise click.UsageError(msg) from error
        click.echo(f"wrote {path}: {len(found.products)} products")
    with atomic_file(PARAMS) as temporary:
        temporary.write_text(changed, encoding="utf-8")
    click.echo(f"wrote {PARAMS}: `git diff {PARAMS}` shows what changed\n")


def _steps(found: "Found", planned: "Params", sizes: "Sizes", wrote: bool) -> list[str]:
    """What is left for the user to do, in order."""
    from pipelines.setup.report import obstacles

    steps = [] if wrote else [f"kindred init {found.folder} --write"]
    steps += obstacles(found, sizes, planned.catalog.max_reject_fraction)
    if "openai" in (planned.teacher.kind, planned.captions.kind, planned.personas.kind):
        steps.append(
            "start a server for a vision-language model, and name it in params.yaml"
            " (teacher.openai.base_url and model; docs/labelling.md)"
        )
    return [*steps, "dvc repro"]
