"""Requests a minute, counted together by all workers without a write a request.

Each worker counts its own, adds them to the database four times a second, and reads what the others
had. So a tenant can exceed its quota by what workers let in within a quarter of a second.
"""

import time
from collections import Counter
from collections.abc import Callable

from services.store.keys import KeyStore
from services.store.repeating import repeat
from services.store.tenants import Tenant

FLUSH = 0.25  # seconds
_MINUTE = 60


class Meter:
    """Counts the requests of tenants with quotas."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        """Begin at nothing; what was counted before is read at the first flush."""
        self._store = store
        self._clock = clock
        self._minute = 0
        self._new: Counter[str] = Counter()  # not in the database yet
        self._counted: dict[str, int] = {}  # in the database, by all workers

    def refuses(self, tenant: Tenant) -> int:
        """Count a request, or refuse it.

        Returns:
            0, or after how many seconds the next one is let in.
        """
        if tenant.quotas is None:
            return 0
        now = self._clock()
        self._turn(now)
        had = self._counted.get(tenant.id, 0) + self._new[tenant.id]
        if had >= tenant.quotas.requests_a_minute:
            return int(_MINUTE - now % _MINUTE) + 1
        self._new[tenant.id] += 1
        return 0

    def flush(self) -> None:
        """Report what is new, and read what all workers had.

        Raises:
            SQLAlchemyError: The database does not answer; nothing is lost.
        """
        self._turn(self._clock())
        minute, new = self._minute, dict(self._new)
        counted = self._store.count(minute, {tenant: n for tenant, n in new.items() if n})
        if minute == self._minute:
            self._counted = counted
            self._new.subtract(new)

    async def watch(self, needed: Callable[[], bool]) -> None:
        """Flush again and again while it is needed, until cancelled."""
        lament = "requests are counted in each worker alone until this ends"
        await repeat(self.flush, FLUSH, lament, needed)

    def _turn(self, now: float) -> None:
        minute = int(now // _MINUTE)
        if minute != self._minute:
            self._minute, self._new, self._counted = minute, Counter(), {}
