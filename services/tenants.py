"""Whose concepts, feedback and quotas a request is about."""

from dataclasses import dataclass

from fastapi import Request


@dataclass(frozen=True)
class Tenant:
    """Somebody who uses the service."""

    id: str
    name: str
    feedback: bool = False


LOCAL = Tenant("local", "local")  # who asks where there are no keys


async def tenant_of(request: Request) -> Tenant:  # noqa: ARG001 -- whose key a request brings
    """Who asks."""
    return LOCAL
