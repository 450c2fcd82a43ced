"""Requests a minute, counted together by all workers, and rarely with a write a request.

Each worker counts its own, adds them to the database four times a second, and reads what the others
had. Who has nearly used up its quota is counted in the database at once, request by request. So a
quota holds to the request, unless the workers let in `NEARLY` of one tenant's within a quarter of a
second.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from services.store.keys import KeyStore
from services.store.repeating import repeat
from services.store.tenants import Tenant

FLUSH = 0.25  # seconds
NEARLY = 64  # requests that are left of a quota
_MINUTE = 60


class Meter:
    """Counts the requests of tenants with quotas."""

    def __init__(self, store: KeyStore, clock: Callable[[], float] = time.time) -> None:
        """Begin at nothing; what was counted before is read at the first flush."""
        self._store = store
        self._clock = clock
        self._minute = 0
        self._new: Counter[str] = Counter()  # not in the database yet
        self._leaving: Counter[str] = Counter()  # on their way there
        self._counted: Counter[str] = Counter()  # in the database, by all workers
        self._turn = threading.Lock()  # held for no longer than a few additions

    async def refuses(self, tenant: Tenant) -> int:
        """Count a request, or refuse it.

        Returns:
            0, or after how many seconds the next one is let in.
        """
        if tenant.quotas is None:
            return 0
        now = self._clock()
        most = tenant.quotas.requests_a_minute
        wait = int(_MINUTE - now % _MINUTE) + 1
        with self._turn:
            self._begin(now)
            if self._counted[tenant.id] >= most:
                return wait
            self._new[tenant.id] += 1
            had = self._counted[tenant.id] + self._leaving[tenant.id] + self._new[tenant.id]
            if had <= most - NEARLY:
                return 0
            minute, new = self._leave([tenant.id])
        with suppress(SQLAlchemyError):  # `watch` says so
            had = (await asyncio.to_thread(self._report, minute, new))[tenant.id]
        return 0 if had <= most else wait

    def flush(self) -> None:
        """Report what is new, and read what all workers had.

        Raises:
            SQLAlchemyError: The database does not answer; nothing is lost.
        """
        with self._turn:
            self._begin(self._clock())
            minute, new = self._leave([*self._new])
        self._report(minute, new)

    async def watch(self, needed: Callable[[], bool]) -> None:
        """Flush again and again while it is needed, until cancelled."""
        lament = "requests are counted in each worker alone until this ends"
        await repeat(self.flush, FLUSH, lament, needed)

    def _leave(self, tenants: Iterable[str]) -> tuple[int, Counter[str]]:
        """The minute, and what is new of tenants, which is on its way from now on."""
        new = Counter({tenant: self._new.pop(tenant, 0) for tenant in tenants})
        self._leaving.update(new)
        return self._minute, +new

    def _report(self, minute: int, new: Counter[str]) -> Counter[str]:
        """Add what left to the database; what all workers had in that minute with it."""
        counted, back = Counter[str](), new
        try:
            counted, back = Counter(self._store.count(minute, new)), Counter()
        finally:
            with self._turn:
                if minute == self._minute:
                    self._leaving -= new
                    self._counted |= counted  # the larger: of two reports the later may end first
                    self._new += back
        return counted

    def _begin(self, now: float) -> None:
        minute = int(now // _MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._new, self._leaving, self._counted = Counter(), Counter(), Counter()
