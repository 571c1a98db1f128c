"""One GET over TLS, within limits of size and time, to one host.

* https only, but for this machine; a redirect is followed on the same host only, and only
  where asked for.
* The whole of it takes `deadline_s` at most, however slowly the server drips.
* The body is taken as it comes: a compressed one is refused, since a small one may
  unfold to anything.
* Proxies and certificates are those of the environment; no `.netrc` password goes along.
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

__all__ = ["Answer", "get"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PART_BYTES = 4096


class Answer(NamedTuple):
    """What a server answered. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Limits(NamedTuple):
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
) -> Answer:
    """Return what `url` answers, whatever the status.

    Raises:
        FetchError: No answer, too slow, too large, compressed, or led elsewhere.
    """
    limits = _Limits(max_bytes, deadline_s, redirects, time.monotonic() + deadline_s)
    answers: queue.SimpleQueue[Answer | FetchError] = queue.SimpleQueue()
    host = urlsplit(url).hostname or url

    def run() -> None:
        try:
            answers.put(_followed(url, dict(headers), limits))
        except FetchError as error:
            answers.put(error)
        except ValueError as error:  # a length, or a place to go on to, that is none
            answers.put(FetchError(one_line(f"{host} answers what is no HTTP: {error}")))

    # Reads have time limits only each by itself, so the whole is watched from outside.
    threading.Thread(target=run, name="autoprovider-fetch", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline_s)
    except queue.Empty:
        msg = f"{host} did not answer within {deadline_s:g} s"
        raise FetchError(msg) from None
    if isinstance(answer, FetchError):
        raise answer
    return answer


def _followed(url: str, headers: dict[str, str], limits: _Limits) -> Answer:
    import requests  # noqa: PLC0415 - a sixth of a second, for who fetches something
    import urllib3  # noqa: PLC0415 - what requests stands on, and what the body is read from

    first = urlsplit(url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "autoprovider", **headers}
    session: Any = requests.Session()
    session.auth = _as_it_is
    # It would read a redirect's body to the end, and unfold it, before anybody can look.
    session.get_redirect_target = lambda _: None
    with session:
        for _ in range(limits.redirects + 1):
            at = urlsplit(url)
            session.trust_env = at.scheme == "https"  # no proxy leads to this machine
            origin = UrlOrigin.of(url)
            if origin is None or not origin.is_secure:
                msg = f"{url!r} is no https URL"
                raise FetchError(msg)
            try:
                answer = _once(session, url, headers, limits)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise FetchError(_said(url, error, limits)) from error
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer
            url = urljoin(url, answer.headers["location"])
            if urlsplit(url)[:2] != first[:2]:
                msg = f"{first.hostname} leads elsewhere, to {urlsplit(url).hostname!r}"
                raise FetchError(msg)
    msg = f"{first.hostname} redirects more than {limits.redirects} times"
    raise FetchError(msg)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _once(session: Any, url: str, headers: dict[str, str], limits: _Limits) -> Answer:
    left = max(0.001, limits.ends - time.monotonic())
    with session.get(
        url, headers=headers, timeout=left, allow_redirects=False, stream=True
    ) as response:
        found = {name.lower(): value for name, value in response.headers.items()}
        if found.get("content-encoding", "identity").lower() not in {"identity", ""}:
            msg = f"{urlsplit(url).hostname} answers compressed, which was not asked for"
            raise FetchError(msg)
        body = bytearray()
        # What is there, part by part: a chunk that says it has -1 bytes would else be read whole.
        while part := response.raw.read1(_PART_BYTES, decode_content=False):
            body += part
            if len(body) > limits.max_bytes:
                msg = f"{urlsplit(url).hostname} answers with more than {limits.max_bytes:,} bytes"
                raise FetchError(msg)
            if time.monotonic() > limits.ends:
                msg = f"{urlsplit(url).hostname} did not end within {limits.deadline_s:g} s"
                raise FetchError(msg)
        announced = found.get("content-length", "")
        if announced.isdigit() and int(announced) != len(body):
            msg = f"{urlsplit(url).hostname} broke off its answer"
            raise FetchError(msg)
    return Answer(response.status_code, found, bytes(body))


def _said(url: str, error: Exception, limits: _Limits) -> str:
    if time.monotonic() >= limits.ends:  # the one who waits may be later to notice than the read
        return f"{urlsplit(url).hostname} did not answer within {limits.deadline_s:g} s"
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return one_line(f"{urlsplit(url).hostname} cannot be reached: {cause}")
