"""The command `kindred`: what is registered, which of it serves, and search in it.

Libraries are imported by the verb that needs them, so that `kindred --help` answers at once.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import click

from retrieval.startup import without_garbage_collection
from services.commands.errors import Exit
from services.commands.keys_verbs import keys
from services.commands.registry_verbs import REGISTRY_VERBS
from services.commands.verbs import (
    BroughtVerb,
    Verbs,
    as_json,
    entry_points,
    model_name,
    one_line,
)
from services.environment import usual_workers

BROUGHT = "kindred.commands"  # entry points of verbs that other packages bring
INTERRUPTED = 130

_EXAMPLES = """\b
Examples:
  kindred init photos                                         what a folder of pictures makes
  kindred status                                              what is registered
  kindred promote                                             the challenger becomes champion
  kindred serve                                               http://127.0.0.1:3000
  kindred search "a gift for a mother who loves gardening"    ask the service
  kindred rollback                                            the champion before this one
  kindred catalog sync photos                                 other products, without training
  kindred package                                             a version as a Bento
  kindred VERB --help                                         more of a verb

\b
Exit codes:
  0  done
  1  refused
  2  wrong usage
  3  conflict: somebody else changes the registry
  4  something is unreachable
  130  interrupted
  141  nobody reads the output any more"""
_LABELS_EXAMPLES = """\b
Examples:
  kindred labels cost         what asking the teacher took"""
_COST_EXAMPLES = """\b
Examples:
  kindred labels cost         calls, tokens and money by stage, cycle and teacher
  kindred labels cost --json  the same for a program"""
_FEEDBACK_EXAMPLES = """\b
Examples:
  kindred feedback photos/feedback.csv    what users chose, for teacher.kind: file"""
_SERVE_EXAMPLES = """\b
Examples:
  kindred serve                        the champion at http://127.0.0.1:3000, and the next one
  kindred serve --version challenger   look at a version before it is promoted
  kindred serve --port 8080
  kindred serve --workers 1            with a gigabyte less of memory
  kindred serve --host 0.0.0.0         for others; needs keys: kindred keys add NAME
  MILVUS_URI=http://127.0.0.1:19530 kindred serve"""
_SEARCH_EXAMPLES = """\b
Examples:
  kindred search "a gift for a mother who loves gardening"
  kindred search "{my mug} on a beach"      with what `kindred concepts add` taught
  KINDRED_URL=http://127.0.0.1:8080 kindred search "a blue mug" --json
  kindred search "a gift for a mother who loves gardening" --offline
  kindred search "a blue mug" --mode hybrid --category kitchen
  kindred search --image photo.jpg -k 5
  kindred search --like PRODUCT_ID
  kindred search "a blue mug" -k 5 --grid mugs.png --offline
  kindred search "{NAME} by the sea" --concept NAME --offline
  kindred search "something cosy" --version 2 --json --offline"""

_CONCEPTS_EXAMPLES = """\b
Examples:
  kindred concepts add "my mug" --noun mug one.jpg two.jpg three.jpg
  kindred search "{my mug} on a beach"
  kindred concepts list"""
_ADD_EXAMPLES = """\b
Examples:
  kindred concepts add "my mug" --noun mug one.jpg two.jpg three.jpg
  kindred concepts add rex --noun dog photos/*.jpg"""
_LIST_EXAMPLES = """\b
Examples:
  kindred concepts list         name, noun, photos, and why one cannot be used
  kindred concepts list --json  the same for a program"""
_SHOW_EXAMPLES = """\b
Examples:
  kindred concepts show "my mug"         its noun, and its photos' addresses
  kindred concepts show "my mug" --json  the same for a program"""
_RM_EXAMPLES = """\b
Examples:
  kindred concepts rm "my mug"    forget it, its photos, and what was learned from them"""


class _Program(Verbs):
    """Verbs of this package, after those that other packages bring: one comes before a model."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = super().list_commands(ctx)
        return [*_brought(), *(verb for verb in own if verb != keys.name), "keys"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _brought().get(cmd_name)
        return _as_verb(entry.load()) if entry else super().get_command(ctx, cmd_name)


def _brought() -> dict[str, EntryPoint]:
    """Entry points by the names of their verbs."""
    return entry_points(BROUGHT)


def _as_verb(command: click.Command) -> click.Command:
    if isinstance(command, click.Group):
        verbs = [_as_verb(verb) for verb in command.commands.values()]
        return Verbs(
            command.name,
            commands=verbs,
            help=command.help,
            epilog=command.epilog,
            subcommand_metavar="VERB ...",
        )
    return BroughtVerb(
        command.name,
        callback=command.callback,
        params=command.params,
        help=command.help,
        epilog=command.epilog,
    )


@click.group(
    cls=_Program,
    commands=[*REGISTRY_VERBS, keys],
    epilog=_EXAMPLES,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="kindred", message="%(prog)s %(version)s")
def kindred() -> None:
    """Image search by what a text means to someone."""


@kindred.group(cls=Verbs, epilog=_LABELS_EXAMPLES, subcommand_metavar="VERB ...")
def labels() -> None:
    """Look at what labelling did."""


@labels.command(epilog=_COST_EXAMPLES)
@as_json
def cost(as_json: bool) -> None:
    """Show the ledger of the teacher's calls."""
    from services.commands.labels_command import read_cost

    click.echo(read_cost(as_json=as_json))


@kindred.command(epilog=_FEEDBACK_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
def feedback(file: Path) -> None:
    """Write what users chose as a file of labels.

    FILE is a CSV file; it is written anew.
    """
    from services.commands.feedback_command import write_feedback

    click.echo(write_feedback(file))


@kindred.command(epilog=_SERVE_EXAMPLES)
@model_name
@click.option("--version", metavar="V", help="Number or alias.  [default: champion, followed]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Without keys loopback.")
@click.option("--port", type=int, default=3000, show_default=True)
@click.option(
    "--workers",
    type=int,
    default=usual_workers,
    show_default="2; 1 where less than 4 GB of memory are free",
    help="Processes, a model each.",
)
def serve(**request: Any) -> None:
    """Serve search over HTTP."""
    from services.commands.serve_command import ServeRequest, run_serve

    run_serve(ServeRequest(**request))


@kindred.command(epilog=_SEARCH_EXAMPLES)
@click.argument("text", default="")
@click.option("--image", metavar="FILE", help="Search by a picture, in the text's place.")
@click.option("--like", metavar="ID", help="Search for more like a product, in the text's place.")
@click.option(
    "--mode",
    type=click.Choice(["vector", "keyword", "hybrid"]),
    default="vector",
    show_default=True,
    help="Compare meanings, words, or both.",
)
@click.option(
    "--category",
    "categories",
    metavar="NAME",
    multiple=True,
    help="Only products of this category. May be given several times.",
)
@model_name
@click.option("--offline", is_flag=True, help="Search here, without a service.")
@click.option(
    "--concept",
    "concepts",
    metavar="NAME",
    multiple=True,
    help="A concept of the version; {NAME} in the text is its place, else it comes first. May be"
    " given several times.",
)
@click.option("-k", type=int, default=10, show_default=True, help="How many products.")
@click.option(
    "--version",
    metavar="V",
    help="Number or alias.  [default: champion, or challenger where there is no champion]",
)
@click.option("--grid", metavar="PNG", help="Write the pictures found to this file.")
@as_json
def search(**request: Any) -> None:
    """Search a catalogue by a text, a picture or a product.

    TEXT is what to look for, in quotes.
    """
    from services.commands.search_command import SearchRequest, run_search

    click.echo(run_search(SearchRequest(**request)))


@kindred.group(cls=Verbs, epilog=_CONCEPTS_EXAMPLES, subcommand_metavar="VERB ...")
def concepts() -> None:
    """Teach the running service what is yours."""


@concepts.command(epilog=_ADD_EXAMPLES)
@click.argument("name")
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True)
@click.option("--noun", metavar="NOUN", required=True, help='What kind of thing it is: "mug".')
@as_json
def add(name: str, photos: tuple[str, ...], noun: str, as_json: bool) -> None:
    """Teach a concept from 1 to 10 photos.

    NAME is what you call it; in a search it is {NAME}. 3 to 5 photos are best.
    """
    from services.commands.concepts_command import add_concept

    click.echo(add_concept(name, noun, photos, as_json=as_json))


@concepts.command("list", epilog=_LIST_EXAMPLES)
@as_json
def list_(as_json: bool) -> None:
    """List what you taught."""
    from services.commands.concepts_command import list_concepts

    click.echo(list_concepts(as_json=as_json))


@concepts.command(epilog=_SHOW_EXAMPLES)
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> None:
    """Show one."""
    from services.commands.concepts_command import show_concept

    click.echo(show_concept(name, as_json=as_json))


@concepts.command(epilog=_RM_EXAMPLES)
@click.argument("name")
def rm(name: str) -> None:
    """Forget one for good."""
    from services.commands.concepts_command import forget_concept

    click.echo(forget_concept(name))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code."""
    try:
        with without_garbage_collection():  # every verb is a short process
            code = kindred.main(arguments, prog_name="kindred", standalone_mode=False)
    except click.UsageError as error:
        program = error.ctx.command_path if error.ctx else "kindred"
        message = one_line(error.format_message()).removesuffix(".")
        click.echo(f"{program}: {message} (see {program} --help)", err=True)
        return Exit.USAGE
    except click.Abort:  # Ctrl-C
        return INTERRUPTED
    return int(code or Exit.DONE)  # click's own exits are its result


if __name__ == "__main__":
    sys.exit(main())
