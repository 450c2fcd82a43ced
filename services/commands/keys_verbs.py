"""`kindred keys`: its verbs, as they are typed."""

import click

from services.commands.verbs import Verbs, as_json

_KEYS_EXAMPLES = """\b
Examples:
  kindred keys add anna                            prints the key, once
  kindred keys add anna-phone --tenant anna        another key to the same concepts
  kindred keys add mine --tenant local             to what was taught before there were keys
  kindred keys list
  kindred keys revoke anna"""


@click.group(cls=Verbs, epilog=_KEYS_EXAMPLES, subcommand_metavar="VERB ...")
def keys() -> None:
    """Say who may use the service."""


_quota = click.IntRange(0, 1_000_000_000)


@keys.command("add", epilog=_KEYS_EXAMPLES)
@click.argument("name")
@click.option("--tenant", metavar="T", help="Whose concepts and quotas.  [default: NAME]")
@click.option("--feedback", is_flag=True, help="Let it say what was right and what was not.")
@click.option("--concepts", type=_quota, default=100, show_default=True, help="At most.")
@click.option("--requests-a-minute", type=_quota, default=600, show_default=True, help="At most.")
@click.option("--photo-mb", type=_quota, default=250, show_default=True, help="Photos, at most.")
def add_key(name: str, tenant: str | None, *, feedback: bool, **quotas: int) -> None:
    """Make a key, and print it once.

    NAME is what it is listed and revoked by.
    """
    from services.commands.keys_command import add_key
    from services.store.tenants import Quotas

    click.echo(add_key(name, tenant, Quotas(**quotas), feedback=feedback))


@keys.command("list", epilog=_KEYS_EXAMPLES)
@as_json
def list_keys(as_json: bool) -> None:
    """List keys, without the keys themselves."""
    from services.commands.keys_command import list_keys

    click.echo(list_keys(as_json=as_json))


@keys.command("revoke", epilog=_KEYS_EXAMPLES)
@click.argument("name")
def revoke_key(name: str) -> None:
    """Revoke a key."""
    from services.commands.keys_command import revoke_key

    click.echo(revoke_key(name))
