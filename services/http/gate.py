"""Who may come in: keys and requests a minute, judged before anything of a request is read."""

from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.http.meter import Meter
from services.http.problems import problem
from services.sharing.keys import Keys
from services.store.tenants import Tenant

TENANT = "kindred.tenant"  # where a request's scope has its tenant
COOKIE = "kindred_session"
SESSION = "/v1/session"  # where a key is brought, and so none is needed
NO_KEY = (
    "got no key, or one that does not count; bring a key of `kindred keys add` as"
    " Authorization: Bearer KEY"
)
ONLY_OWN = (
    "got a request from {client}, expected one from this machine: without keys the service answers"
    " nobody else; make a key with `kindred keys add NAME` (docs/packaging.md)"
)
_LOCKED = ("/v1/", "/images/")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="kindred"'}


class Gate:
    """ASGI middleware that finds each request's tenant, and sends away who has no key or no quota.

    It wants `keys`, `meter` and `own_machine` in the application's state: whether, as long as there
    are no keys, other machines are sent away.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its tenant, or answer 401, 403 or 429."""
        if scope["type"] != "http" or not scope["path"].startswith(_LOCKED):
            await self._app(scope, receive, send)
            return
        keys: Keys = scope["app"].state.keys
        meter: Meter = scope["app"].state.meter
        if scope["path"] == SESSION:
            await self._app(scope, receive, send)
            return
        tenant = keys.holder(brought(Headers(scope=scope)))
        if tenant is None:
            await problem(401, NO_KEY, CHALLENGE)(scope, receive, send)
            return
        if not keys.required and scope["app"].state.own_machine and not _is_own(scope):
            detail = ONLY_OWN.format(client=scope["client"][0])
            await problem(403, detail)(scope, receive, send)
            return
        if _counts(scope) and (wait := await meter.refuses(tenant)):
            await _too_many(tenant, wait)(scope, receive, send)
            return
        scope[TENANT] = tenant
        await self._app(scope, receive, _keeping_private(send) if keys.required else send)


def _is_own(scope: Scope) -> bool:
    """Whether a request comes from this machine, and through no proxy that says for whom."""
    if not scope.get("client"):  # a socket in the file system
        return True
    try:
        address = ip_address(scope["client"][0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def brought(headers: Headers) -> str | None:
    """The key that a request brings: in its header, else in the page's cookie."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind:
        return key.strip() if kind.lower() == "bearer" else None
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _counts(scope: Scope) -> bool:
    """Whether a request is one of a minute's: a page's many pictures are not."""
    path: str = scope["path"]
    is_picture = path.startswith("/images/") or "/photos/" in path
    return not (is_picture and scope["method"] in ("GET", "HEAD"))


def _too_many(tenant: Tenant, wait: int) -> ASGIApp:
    most = tenant.quotas.requests_a_minute if tenant.quotas else 0
    detail = f"got more than the {most:,} requests a minute of this key; go on in {wait} s"
    return problem(429, detail, {"Retry-After": str(wait)})


def _keeping_private(send: Send) -> Send:
    """No proxy between may keep for others what took a key."""

    async def send_privately(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            kept = headers.get("cache-control", "no-store")
            headers["cache-control"] = kept.replace("public", "private")
            headers.add_vary_header("Authorization, Cookie")
        await send(message)

    return send_privately
