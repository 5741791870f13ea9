"""Access of operators: to ``/metrics``, the production console and the page of ``receiver dev``.

Rule 1: access needs a token. For an endpoint of the service it is derived from the service secret,
        one for each endpoint, and changes with the epoch; ``receiver dev`` makes one at each start.
        Client address, comparison and throttle are those of `receiver.callbacks.authenticate`, so
        that the right token is always accepted, also from a throttled address.
Rule 2: without a `Login` each request needs the token, as bearer authentication in its header.
Rule 3: with one, a browser exchanges the token for the cookie of a session, by ``POST /login`` with
        the same header, or where ``query`` is set by the first page's URL. Without a session only
        static files and the sign-in page are served; everything else is 401.
Rule 4: the token in a URL is valid for the first page only. The response moves the browser to the
        URL without it: no log and no Referer has it.
Rule 5: the cookie is HttpOnly and SameSite=Strict, with the path of the login, and Secure except on
        the loopback interface, which has plain HTTP. (Cookies do not depend on the port: a page of
        another user on this machine that is opened in the same browser gets it.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.auth import Bearer
from receiver.auth.browser_sessions import BrowserSessions, cookie_of
from receiver.auth.client_address import Sources
from receiver.callbacks.asgi_messages import refuse
from receiver.callbacks.authenticate import Authenticator, AuthTarget, Refusal
from receiver.callbacks.observer import refused
from receiver.callbacks.request import Request as PlainRequest
from receiver.credentials import Credentials, Secret, derive
from receiver.observability.log_throttle import LogThrottle
from receiver.settings import Settings
from receiver.storage.protocols import AuthStore

# Not a redirect: with one, browsers omit Strict cookies if another page (such as a file) led here.
_START_PAGE = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=./">'
    '<link rel="icon" href="data:,"><title>Receiver console</title>'
)


def operator_token(endpoint: str, secret: Secret, epoch: int) -> Secret:
    """Return the token of an endpoint; an identity of an action has a slash, its name has none."""
    return derive(secret, endpoint, epoch).token


def endpoint_authenticator(
    endpoint: str, settings: Settings, store: AuthStore, log_throttle: LogThrottle
) -> Authenticator:
    """Return the authenticator of an endpoint's token, of this epoch and the next one."""
    known = [derive(settings.secret, endpoint, settings.epoch + more) for more in (0, 1)]
    return _authenticator(known, Sources((), settings.trusted_proxies), store, log_throttle)


def token_authenticator(
    token: Secret, store: AuthStore, log_throttle: LogThrottle
) -> Authenticator:
    """Return the authenticator of a token that is not derived."""
    known = [Credentials("", Secret(""), token)]
    return _authenticator(known, Sources(), store, log_throttle)


def _authenticator(
    known: list[Credentials], sources: Sources, store: AuthStore, log_throttle: LogThrottle
) -> Authenticator:
    return Authenticator(Bearer(known), sources, store, log_throttle)


@dataclass(frozen=True, slots=True)
class Login:
    """The sign-in of a browser; use it inside a `receiver.console.security.Guard`.

    Attributes:
        sessions: of browsers that are signed in.
        cookie: returns the name of their cookie for a request. It has the port, on which cookies
            do not depend.
        plain: the values of Host with plain HTTP, where the cookie is not Secure.
        page: returns the page for a browser without a session.
        page_status: its status.
        hint: the error of every other request without a session.
        wrong: the error of a wrong token.
        query: the parameter of the first page's URL with the token; empty for ``POST /login``.
    """

    sessions: BrowserSessions
    cookie: Callable[[Scope], str]
    plain: Collection[str]
    page: Callable[[], str]
    page_status: int
    hint: str
    wrong: str = ""
    query: str = ""


class OperatorAccess:
    """ASGI middleware that serves ``app`` to operators only.

    Parameters:
        app: the protected app.
        name: of the endpoint, in the log; failures are counted by it.
        authenticator: of the token.
        login: None if each request needs the token itself.
        now: returns the seconds since the epoch.
    """

    def __init__(
        self,
        app: ASGIApp,
        name: str,
        authenticator: Authenticator,
        login: Login | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._target = AuthTarget(name, f"/{name}", name)
        self._authenticator = authenticator
        self._login = login
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._login is not None:
            answer = await self._answer(scope, self._login)
            await (answer or self._app)(scope, receive, send)
        elif (refusal := await self._check(scope)) is not None:
            await refuse(scope, receive, send, refusal.status, refusal.headers)
        else:
            await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> Refusal | None:
        """Return why the token in the header of a request is refused."""
        result = await self._authenticator.authenticate(
            PlainRequest.of_scope(scope), self._target, self._now()
        )
        if not isinstance(result, Refusal):
            return None
        refused(result.cause)
        return result

    async def _answer(self, scope: Scope, login: Login) -> Response | None:
        """Return the response of the login; None if the app answers the request."""
        request = Request(scope)
        value = cookie_of(scope["headers"], login.cookie(scope))
        kind = scope["method"], scope["path"]
        if login.query and kind == ("GET", "/") and login.query in request.query_params:
            return await self._sign_in_by_url(request, login)
        if not login.query and kind == ("POST", "/login"):
            return await self._sign_in(request, login)
        if kind == ("POST", "/logout"):
            login.sessions.end(value)
            return JSONResponse({})
        if login.sessions.has(value) or _is_file(scope):
            return None
        if kind == ("GET", "/"):
            return Response(login.page(), login.page_status, media_type="text/html")
        return JSONResponse({"error": login.hint}, 401)

    async def _sign_in(self, request: Request, login: Login) -> Response:
        if (refusal := await self._check(request.scope)) is None:
            return _begin(JSONResponse({}), request, login)
        headers = _headers(refusal)
        wait = headers.get("retry-after")
        text = f"too many wrong passwords: try again in {wait} s" if wait else login.wrong
        return JSONResponse({"error": text}, refusal.status, headers)

    async def _sign_in_by_url(self, request: Request, login: Login) -> Response:
        token = request.query_params[login.query].encode("utf-8", "replace")
        others = [pair for pair in request.scope["headers"] if pair[0] != b"authorization"]
        sent = {**request.scope, "headers": [*others, (b"authorization", b"Bearer " + token)]}
        if (refusal := await self._check(sent)) is None:
            return _begin(Response(_START_PAGE, media_type="text/html"), request, login)
        return Response(login.page(), refusal.status, _headers(refusal), media_type="text/html")


def _begin(answer: Response, request: Request, login: Login) -> Response:
    """Begin a session, and set its cookie; see rule 5."""
    answer.set_cookie(
        login.cookie(request.scope),
        login.sessions.begin(),
        path=None,
        secure=request.headers["host"].lower() not in login.plain,
        httponly=True,
        samesite="strict",
    )
    return answer


def _headers(refusal: Refusal) -> dict[str, str]:
    return {key.decode(): text.decode() for key, text in refusal.headers}


def _is_file(scope: Scope) -> bool:
    return scope["method"] in ("GET", "HEAD") and scope["path"].startswith("/page/")
