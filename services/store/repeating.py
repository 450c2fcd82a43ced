"""What is read or written again and again while the service runs, whether or not it works."""

import asyncio
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

_LOG = logging.getLogger(__name__)


async def repeat(
    action: Callable[[], None],
    every: float,
    lament: str,
    needed: Callable[[], bool] = lambda: True,
) -> None:
    """Run an action that asks the database, until cancelled; beside the event loop.

    Args:
        action: It.
        every: Seconds between two times.
        lament: What its failing means: logged with the error, once until it works again.
        needed: Whether to run it this time.
    """
    failing = False
    while True:
        await asyncio.sleep(every)
        if not needed():
            continue
        try:
            await asyncio.to_thread(action)
            failing = False
        except SQLAlchemyError:
            if not failing:
                _LOG.exception(lament)
            failing = True
