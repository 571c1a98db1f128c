"""One GET over TLS to one host, within limits of size and time.

* Only https is used, except for this machine. Redirects are followed on the same host only,
  and only as many as the caller allows.
* The whole exchange takes at most `deadline_s`, however slowly the server sends.
* A compressed body is refused, since a small one may expand to any size.
* Proxies and certificates come from the environment; passwords in `.netrc` are not sent.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from inference_providers.credentials import UrlOrigin
from inference_providers.errors import FetchError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

__all__ = ["Response", "get"]

_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_READ_BYTES = 4096
_SHORTEST_TIMEOUT_S = 0.001


class Response(NamedTuple):
    """What a server sent. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FetchBudget(NamedTuple):
    """What one fetch may use: bytes of each body, seconds and redirects in all.

    Attributes:
        ends: The deadline as a time of `time.monotonic`.
    """

    max_bytes: int
    deadline_s: float
    redirects: int
    ends: float


def get(
    url: str,
    *,
    headers: Mapping[str, str],
    max_bytes: int,
    deadline_s: float,
    redirects: int = 0,
) -> Response:
    """Return the response to a GET, whatever its status.

    Raises:
        FetchError: There is no response, or it is too slow, too large, compressed,
            malformed, or a redirect that may not be followed.
    """
    budget = FetchBudget(
        max_bytes=max_bytes,
        deadline_s=deadline_s,
        redirects=redirects,
        ends=time.monotonic() + deadline_s,
    )
    results: queue.SimpleQueue[Response | FetchError] = queue.SimpleQueue()
    host = urlsplit(url).hostname or url

    def run() -> None:
        try:
            results.put(_follow(url, dict(headers), budget))
        except FetchError as error:
            results.put(error)
        except ValueError as error:  # such as a Content-Length or Location that does not parse
            message = f"{host} sent a malformed HTTP response: {error}"
            results.put(FetchError(one_line(message)))

    # requests limits each read, not the whole exchange, so a second thread watches the clock.
    threading.Thread(target=run, name="autoprovider-fetch", daemon=True).start()
    try:
        result = results.get(timeout=deadline_s)
    except queue.Empty:
        msg = f"{host} did not respond within {deadline_s:g} s"
        raise FetchError(msg) from None
    if isinstance(result, FetchError):
        raise result
    return result


def _follow(url: str, headers: dict[str, str], budget: FetchBudget) -> Response:
    """Send the request, and follow redirects on the same host.

    Raises:
        FetchError: As for `get`.
    """
    import requests  # noqa: PLC0415 - takes a sixth of a second to import
    import urllib3  # noqa: PLC0415

    first = urlsplit(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "autoprovider", **headers}
    session: Any = requests.Session()
    session.auth = _without_auth  # or requests would look into .netrc
    # requests would read and decompress the whole body of a redirect.
    session.get_redirect_target = lambda _: None
    with session:
        for _ in range(budget.redirects + 1):
            session.trust_env = urlsplit(url).scheme == "https"  # no proxy for this machine
            origin = UrlOrigin.of(url)
            if origin is None or not origin.is_secure:
                msg = f"{url!r} is not an https URL"
                raise FetchError(msg)
            try:
                response = _request_once(session, url, headers, budget)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise FetchError(_failure_message(url, error, budget)) from error
            if response.status not in _REDIRECT_STATUSES or "location" not in response.headers:
                return response
            url = urljoin(url, response.headers["location"])
            if urlsplit(url)[:2] != first[:2]:
                msg = f"{first.hostname} redirects to another host, {urlsplit(url).hostname!r}"
                raise FetchError(msg)
    msg = f"{first.hostname} redirects more than {budget.redirects} times"
    raise FetchError(msg)


def _without_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _request_once(session: Any, url: str, headers: dict[str, str], budget: FetchBudget) -> Response:
    """Send one request, and read its body within the budget."""
    host = urlsplit(url).hostname
    timeout_s = max(_SHORTEST_TIMEOUT_S, budget.ends - time.monotonic())
    with session.get(
        url, headers=headers, timeout=timeout_s, allow_redirects=False, stream=True
    ) as response:
        received = {name.lower(): value for name, value in response.headers.items()}
        if received.get("content-encoding", "identity").lower() not in {"identity", ""}:
            msg = f"{host} sent a compressed body, although `identity` was requested"
            raise FetchError(msg)
        body = bytearray()
        # `read` would take a chunk that claims a size of -1 as a whole; `read1` reads parts.
        while part := response.raw.read1(_READ_BYTES, decode_content=False):
            body += part
            if len(body) > budget.max_bytes:
                msg = f"{host} sent more than {budget.max_bytes:,} bytes"
                raise FetchError(msg)
            if time.monotonic() > budget.ends:
                msg = f"{host} did not finish within {budget.deadline_s:g} s"
                raise FetchError(msg)
        length = received.get("content-length", "")
        if length.isdigit() and int(length) != len(body):
            msg = f"{host} closed the connection before the end of the body"
            raise FetchError(msg)
    return Response(response.status_code, received, bytes(body))


def _failure_message(url: str, error: Exception, budget: FetchBudget) -> str:
    host = urlsplit(url).hostname
    if time.monotonic() >= budget.ends:  # this thread may notice the deadline before `get`
        return f"{host} did not respond within {budget.deadline_s:g} s"
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return one_line(f"{host} cannot be reached: {cause}")
