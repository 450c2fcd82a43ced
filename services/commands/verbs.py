"""How every verb of `kindred` behaves: exit codes, one line for what is refused."""

import os
import sys
from importlib import metadata
from typing import Any, NoReturn

import click

from registry.errors import without_password
from services.commands.errors import CommandError
from services.commands.registry_access import registry_access

NOBODY_READS = 141  # what a shell says of a program that SIGPIPE ended

model_name = click.option(
    "--name", default="kindred", show_default=True, help="The registered model."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Verb(click.Command):
    """A command that ends in an exit code: what it refuses is one line on standard error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, and every error knows its verb."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click leaves it out where an option lacks its value
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """As click; errors end in their exit codes."""
        try:
            return self.act(ctx)
        except CommandError as error:
            click.echo(f"{ctx.command_path}: {without_password(one_line(error))}", err=True)
            ctx.exit(error.code)
        except BrokenPipeError:  # as in `kindred status | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(NOBODY_READS)

    def act(self, ctx: click.Context) -> Any:
        """What it does."""
        return super().invoke(ctx)


class BroughtVerb(Verb):
    """A verb of another package, which knows the registry's errors and not these exit codes."""

    def act(self, ctx: click.Context) -> Any:
        """What it does; what the registry refuses is a `CommandError`."""
        with registry_access():
            return super().act(ctx)


class Verbs(click.Group):
    """Verbs in the order of a model's life; a wrong one is answered with those that there are."""

    command_class = Verb

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """In the order in which they were added."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, and no verb at all is an error."""
        return super().parse_args(ctx, args) if args else self._fail(ctx, "nothing")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, and a wrong verb is answered with those that there are."""
        if args[0] not in self.list_commands(ctx):
            self._fail(ctx, repr(args[0]))
        return super().resolve_command(ctx, args)

    def _fail(self, ctx: click.Context, got: str) -> NoReturn:
        ctx.fail(f"got {got}, expected one of {', '.join(self.list_commands(ctx))}")


def entry_points(group: str) -> dict[str, metadata.EntryPoint]:
    """What other packages bring, by name; nothing where Kindred is not installed."""
    try:
        found = metadata.distribution("kindred").entry_points.select(group=group)
    except metadata.PackageNotFoundError:
        return {}
    return {entry.name: entry for entry in found}


def one_line(message: object) -> str:
    """A message without line breaks."""
    return " ".join(str(message).split())
