"""The verbs `kindred catalog ...`: what serves follows a folder of products.

`kindred` finds them by their entry point (group kindred.commands in pyproject.toml). Libraries are
imported when one runs: `kindred --help` is fast.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import click

_EXAMPLES = """\b
Examples:
  kindred catalog sync photos --dry-run    what is new, changed and gone; nothing changes
  kindred catalog sync photos              serve it, as a revision of the champion
  kindred rollback                         undo that"""


@click.group(epilog=_EXAMPLES)
def catalog() -> None:
    """Change what is searched, without training."""


@catalog.command(epilog=_EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="kindred", show_default=True, help="The registered model.")
@click.option("--dry-run", is_flag=True, help="Say what would change, change nothing.")
@click.option("--shrink", is_flag=True, help="Go on although more than half of the products go.")
def sync(**asked: Any) -> None:
    """Serve a folder's products.

    FOLDER holds a table of products and their pictures, as catalog.folder does (photos/README.md).
    What is new or has another picture is embedded with the champion's model, what is not in the
    table goes, and the whole becomes a revision of the champion, which a running service takes
    over. Nothing is trained, and no teacher or other model is asked.
    """
    from pipelines.run.params import load_params
    from pipelines.sync.run import SyncRequest
    from pipelines.sync.run import sync as run_sync
    from pipelines.sync.words import describe

    # Milvus Lite does without a method that its client asks for, and says so at length.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    try:
        params = load_params()
        done = run_sync(SyncRequest(**asked), params, _print_step)
    except SystemExit as error:  # what readers say of a user's file
        raise click.UsageError(str(error)) from error
    click.echo("\n".join(describe(done, params)))


def _print_step(step: str) -> None:
    sys.stderr.write(f"  {step}\n")
    sys.stderr.flush()
