"""The keys that count now, as a request meets them: in memory, read again four times a second.

So no request waits for the database to be let in, and a key that was added or revoked counts in
every worker a moment later.
"""

import os

from services.store.keys import Key, KeyStore, digest_of
from services.store.repeating import repeat
from services.store.tenants import LOCAL, Tenant

REFRESH = 0.25  # seconds
SETTING = "KINDRED_KEYS"  # "required": without keys nobody gets in (`kindred serve` sets it)
REQUIRED = "required"


class Keys:
    """Tells who holds a key."""

    def __init__(self, store: KeyStore) -> None:
        """Know no key before `refresh`."""
        self._store = store
        self._by_digest: dict[str, Key] = {}
        self._required = os.environ.get(SETTING) == REQUIRED

    @property
    def required(self) -> bool:
        """Whether a request needs a key.

        Once there was a key it does, until the service is started again: whoever revokes the last
        key does not mean to let everybody in.
        """
        return self._required

    def holder(self, key: str | None) -> Tenant | None:
        """Who holds a key; without keys, the local tenant whatever is brought."""
        if not self._required:
            return LOCAL
        if not key:
            return None
        # By digest: how long the look-up takes tells nothing of a key that is near another one.
        found = self._by_digest.get(digest_of(key))
        return found.tenant if found else None

    def refresh(self) -> None:
        """Read the keys. Raises SQLAlchemyError where the database does not answer."""
        self._by_digest = self._store.by_digest()
        self._required = self._required or bool(self._by_digest)

    async def watch(self) -> None:
        """Read them again and again, until cancelled."""
        lament = "the keys cannot be read; those of before count on"
        await repeat(self.refresh, REFRESH, lament)
