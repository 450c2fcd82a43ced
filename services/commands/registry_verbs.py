"""The registry's verbs, as they are typed: what is registered, and which of it serves."""

from typing import Any

import click

from services.commands.errors import CommandError, Exit
from services.commands.verbs import Verb, as_json, model_name

_STATUS_EXAMPLES = """\b
Examples:
  kindred status              the versions, their aliases, verdicts and headline numbers
  kindred status --json       the same for a program"""
_PROMOTE_EXAMPLES = """\b
Examples:
  kindred promote                               the challenger, if its verdicts passed
  kindred promote 3 --dry-run                   check version 3, change nothing
  kindred promote 3 --force --reason "demo"     although a verdict failed; the reason is recorded"""
_ROLLBACK_EXAMPLES = """\b
Examples:
  kindred rollback            undo the last promotion or sync; twice goes two back"""
_HISTORY_EXAMPLES = """\b
Examples:
  kindred history             every promotion, rollback and sync, newest first
  kindred history --json      the same for a program"""
_PACKAGE_EXAMPLES = """\b
Examples:
  kindred package                     the champion as a Bento: bentoml serve kindred:TAG
  kindred package 3                   version 3
  BENTOML_HOME=/srv/bentoml kindred package     into another store than ~/bentoml
  bentoml export kindred:TAG "$PWD/kindred.tar"      the Bento as one file"""
_LINEAGE_EXAMPLES = """\b
Examples:
  kindred lineage                      the champion: its code, data, teacher, gates, parameters
  kindred lineage 3 --json             all that is known of version 3, for a program
  kindred lineage --graph lineage.svg  and as a picture"""
_DIFF_EXAMPLES = """\b
Examples:
  kindred diff champion challenger              what another champion would change
  kindred diff 2 3 --html diff.html             as a page, with the pictures found before and after
  kindred diff 2 3 --json                       all of it, for a program"""
_REPRODUCE_EXAMPLES = """\b
Examples:
  kindred reproduce 3           run the pipeline again as version 3 was made, and compare
  kindred reproduce 3 --keep    and leave the work tree to look at
  kindred reproduce 3 --json    the same for a program"""
_PRUNE_EXAMPLES = """\b
Examples:
  kindred prune                     what is not needed any more, and how large it is
  kindred prune --yes               remove it
  kindred prune --keep 1 --yes      rollback goes one back without making anything anew
  kindred prune --versions --yes    also delete versions in MLflow that have no alias"""


@click.command(cls=Verb, epilog=_STATUS_EXAMPLES)
@model_name
@as_json
def status(name: str, as_json: bool) -> None:
    """List the registered versions."""
    from services.commands.status import read_status

    click.echo(read_status(name, as_json=as_json))


@click.command(cls=Verb, epilog=_PROMOTE_EXAMPLES)
@click.argument("version", metavar="[VERSION]", default="challenger")
@model_name
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--force", is_flag=True, help="Promote although a check fails; needs --reason.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def promote(version: str, name: str, **how: Any) -> None:
    """Make a version the champion.

    VERSION is a number or an alias; by default the challenger.
    """
    from services.commands.promotion_commands import run_promote

    click.echo(run_promote(name, version, **how))


@click.command(cls=Verb, epilog=_ROLLBACK_EXAMPLES)
@model_name
def rollback(name: str) -> None:
    """Undo the last promotion or sync."""
    from services.commands.promotion_commands import run_rollback

    click.echo(run_rollback(name))


@click.command(cls=Verb, epilog=_HISTORY_EXAMPLES)
@model_name
@as_json
def history(name: str, as_json: bool) -> None:
    """List promotions, rollbacks and syncs."""
    from services.commands.history_command import read_changes

    click.echo(read_changes(name, as_json=as_json))


@click.command(cls=Verb, epilog=_LINEAGE_EXAMPLES)
@click.argument("version", metavar="[VERSION]", required=False)
@model_name
@as_json
@click.option("--graph", metavar="FILE", help="Draw it to this file, .svg or .png.")
def lineage(version: str | None, name: str, as_json: bool, graph: str | None) -> None:
    """Say where a version comes from.

    VERSION is a number or an alias; by default the champion, else the challenger.
    """
    from services.commands.lineage_command import read_lineage

    click.echo(read_lineage(name, version, as_json=as_json, graph=graph))


@click.command(cls=Verb, epilog=_DIFF_EXAMPLES)
@click.argument("before", metavar="A")
@click.argument("after", metavar="B")
@model_name
@as_json
@click.option("--html", metavar="FILE", help="Write a page that opens from disk, with pictures.")
def diff(before: str, after: str, name: str, as_json: bool, html: str | None) -> None:
    """Say in what version B differs from version A.

    A and B are numbers or aliases. Both answer the held-out queries of B.
    """
    from services.commands.diff_command import read_diff

    click.echo(read_diff(name, (before, after), as_json=as_json, html=html))


@click.command(cls=Verb, epilog=_PACKAGE_EXAMPLES)
@click.argument("version", metavar="[VERSION]", required=False)
@model_name
def package(version: str | None, name: str) -> None:
    """Make a version a Bento, which serves alone.

    VERSION is a number or an alias; by default the champion, or the challenger where there is no
    champion. The Bento lies in BentoML's own store: `bentoml list` shows it.
    """
    from services.commands.package_command import run_package

    click.echo(run_package(name, version))


@click.command(cls=Verb, epilog=_REPRODUCE_EXAMPLES)
@click.argument("version")
@model_name
@click.option("--keep", is_flag=True, help="Leave the work tree.")
@as_json
def reproduce(version: str, name: str, **how: Any) -> None:
    """Make a version again, and compare.

    VERSION is a number or an alias. Runs as long as `dvc repro` from nothing, beside the checkout.
    Exit code 0 where all is equal or equal within rounding, 1 where something differs.
    """
    from services.commands.reproduce_command import run_reproduce

    told = run_reproduce(name, version, **how)
    click.echo(told.text)
    if told.fault:
        raise CommandError(told.fault, Exit.REFUSED)


@click.command(cls=Verb, epilog=_PRUNE_EXAMPLES)
@model_name
@click.option(
    "--keep",
    metavar="N",
    type=int,
    default=3,
    show_default=True,
    help="So many former champions stay whole, beside today's.",
)
@click.option("--versions", is_flag=True, help="Also versions in MLflow, with their artifacts.")
@click.option("-y", "--yes", is_flag=True, help="Remove; without it nothing changes.")
@as_json
def prune(name: str, **how: Any) -> None:
    """Remove what is not needed any more.

    Collections and bundles of versions that neither serve nor may serve after a rollback, and what
    killed runs left. Nothing that has an alias, that a process uses, or that users taught.
    """
    from services.commands.prune_command import run_prune

    click.echo(run_prune(name, **how))


REGISTRY_VERBS = (status, promote, rollback, history, lineage, diff, reproduce, package, prune)
