"""Whose concepts, feedback and quotas a request is about."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quotas:
    """The most that a tenant may have and ask for."""

    concepts: int = 100
    requests_a_minute: int = 600
    photo_mb: int = 250  # of photos as they are kept, a quarter of a megabyte each


@dataclass(frozen=True)
class Tenant:
    """Somebody who uses the service."""

    id: str
    name: str  # the key's
    feedback: bool = False
    quotas: Quotas | None = None  # None: as much as they like


LOCAL = Tenant("local", "local")  # who asks where there are no keys
