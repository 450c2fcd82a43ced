"""`kindred keys`: who may use the service."""

import re

from sqlalchemy.exc import SQLAlchemyError

from registry.errors import local_remedy
from services.commands.database_access import service_database
from services.commands.errors import CommandError, Exit
from services.commands.tables import as_text, table
from services.store.keys import Key, KeyStore, NameTakenError
from services.store.tenants import Quotas, Tenant

_NAME = re.compile(r"[\w.@-]{1,64}")
_HEADER = (
    "name", "tenant", "concepts", "requests a minute", "photos (MB)", "feedback", "made (UTC)",
)  # fmt: skip


def add_key(name: str, tenant: str | None, quotas: Quotas, *, feedback: bool) -> str:
    """Make a key.

    Returns:
        The key alone, so that a script can keep it.

    Raises:
        CommandError: A name or number that cannot be (2), a name that is taken (3), or the
            database does not answer (4) or cannot be written (1).
    """
    tenant = tenant or name
    for what, given in (("a name", name), ("--tenant", tenant)):
        if not _NAME.fullmatch(given):
            msg = f"got {what} {given!r}, expected 1 to 64 letters, digits and . _ @ -"
            raise CommandError(msg, Exit.USAGE)
    try:
        return _store().add(name, Tenant(tenant, name, feedback, quotas))
    except NameTakenError as error:
        msg = f"there is a key {name} already; take another name, or `kindred keys revoke {name}`"
        raise CommandError(msg, Exit.CONFLICT) from error
    except SQLAlchemyError as error:
        raise _unreachable(error) from error


def list_keys(*, as_json: bool) -> str:
    """All keys, without the keys themselves.

    Raises:
        CommandError: The database does not answer (4) or cannot be written (1).
    """
    try:
        keys = [*_store().by_digest().values()]
    except SQLAlchemyError as error:
        raise _unreachable(error) from error
    if as_json:
        return as_text({"keys": [_record(key) for key in keys]})
    if not keys:
        return "There are no keys: the service is this machine's alone. `kindred keys add NAME`"
    return "\n".join(table([_HEADER, *(_row(key) for key in keys)]))


def revoke_key(name: str) -> str:
    """Delete a key; its tenant's concepts stay.

    Raises:
        CommandError: There is none of that name (2), or the database does not answer (4) or cannot
            be written (1).
    """
    try:
        found = _store().revoke(name)
    except SQLAlchemyError as error:
        raise _unreachable(error) from error
    if not found:
        msg = f"got {name}, and there is no key of that name; `kindred keys list` shows them"
        raise CommandError(msg, Exit.USAGE)
    return f"{name} is revoked; a running service refuses it within a second"


def any_key() -> bool:
    """Whether there are keys.

    Raises:
        CommandError: The database does not answer (4) or cannot be written (1).
    """
    try:
        return bool(_store().by_digest())
    except SQLAlchemyError as error:
        raise _unreachable(error) from error


def _store() -> KeyStore:
    return KeyStore(service_database())


def _unreachable(error: Exception) -> CommandError:
    if remedy := local_remedy(error):
        return CommandError(f"the database of keys cannot be written: {remedy}", Exit.REFUSED)
    return CommandError(f"the database does not answer: {error}", Exit.UNREACHABLE)


def _record(key: Key) -> dict[str, object]:
    quotas = key.tenant.quotas or Quotas()
    return {
        "name": key.name,
        "tenant": key.tenant.id,
        "concepts": quotas.concepts,
        "requests_a_minute": quotas.requests_a_minute,
        "photo_mb": quotas.photo_mb,
        "feedback": key.tenant.feedback,
        "created": key.created.isoformat(timespec="seconds"),
    }


def _row(key: Key) -> tuple[str, ...]:
    quotas = key.tenant.quotas or Quotas()
    return (
        key.name, key.tenant.id, f"{quotas.concepts:,}", f"{quotas.requests_a_minute:,}",
        f"{quotas.photo_mb:,}", "yes" if key.tenant.feedback else "no",
        f"{key.created:%Y-%m-%d %H:%M}",
    )  # fmt: skip
