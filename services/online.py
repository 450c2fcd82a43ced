"""Search by the running service, whose address is in KINDRED_URL."""

import math
import os

from services.client import DEFAULT_URL, Client
from services.hits import Found, Hit


def search_service(text: str, k: int, *, pictures: bool) -> Found:
    """The k products nearest to a text, as the service finds them.

    Args:
        text: What to look for.
        k: How many.
        pictures: Fetch each hit's picture too.

    Raises:
        ServiceError: The service refused.
        ConnectionError: It does not answer.
        ValueError: An argument is not what the service takes.
    """
    with Client(os.environ.get("KINDRED_URL", DEFAULT_URL)) as client:
        found = client.search(text, k)
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
