"""What verbs ask the running service, whose address is in KINDRED_URL."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.client import Client, ServiceError
from services.commands.errors import CommandError, Exit
from services.commands.hits import Found, Hit
from services.http.messages import FoundMessage


@contextmanager
def running_service(otherwise: str = "") -> Iterator[Client]:
    """A client, whose errors are exit codes.

    Args:
        otherwise: What to do where it does not answer, beside starting it.

    Raises:
        CommandError: The service refused what was asked (2) or failed (1), it does not answer (4),
            or an argument is wrong (2).
    """
    try:
        with Client() as client:
            yield client
    except ConnectionError as error:
        raise CommandError(f"{error}{otherwise}", Exit.UNREACHABLE) from error
    except ServiceError as error:
        code = Exit.USAGE if error.status < 500 else Exit.REFUSED
        raise CommandError(str(error), code) from error
    except ValueError as error:
        raise CommandError(str(error), Exit.USAGE) from error


def search_service(wanted: Mapping[str, Any], image: str | None, *, pictures: bool) -> Found:
    """What the service finds.

    Args:
        wanted: What `Client.search` takes.
        image: The file of a picture, which is looked for in the query's place.
        pictures: Fetch each hit's picture too.

    Raises:
        CommandError: See `running_service`; or the picture's file cannot be read (2).
    """
    with running_service(", or add --offline to search here") as client:
        found = _by_image(client, image, wanted) if image else client.search(**wanted)
        hits = [
            Hit(
                rank,
                hit.product_id,
                hit.title,
                math.nan if hit.price is None else hit.price,
                hit.score,
                client.image(hit.image_url) if pictures else b"",
            )
            for rank, hit in enumerate(found.hits, start=1)
        ]
    return Found(found.model_version, (), hits, tuple(found.warnings))


def _by_image(client: Client, image: str, wanted: Mapping[str, Any]) -> FoundMessage:
    try:
        picture = Path(image).read_bytes()
    except OSError as error:
        msg = f"got --image {image}, which cannot be read: {error}"
        raise CommandError(msg, Exit.USAGE) from error
    return client.search_image(picture, **wanted)
