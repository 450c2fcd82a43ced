"""Who asks, and what is there to answer with."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.http.gate import TENANT
from services.search.live import Live
from services.sharing.concepts import Concepts
from services.store.tenants import Tenant


@dataclass(frozen=True)
class Asker:
    """A request's tenant, beside what the service has."""

    tenant: Tenant
    live: Live
    concepts: Concepts


async def _asker(request: Request) -> Asker:
    return Asker(request.scope[TENANT], request.app.state.live, request.app.state.concepts)


Who = Annotated[Asker, Depends(_asker)]
