"""What an exception tells: status, codes, words and headers, whatever raised it.

Shapes that are read, at any depth: an `error` object; an `error` string beside a
`code`; an array of one; flat `{"object": "error"}`; `errors: [{code}]`; `detail` as
a string or an object; Anthropic's `details.error_code`; `innererror`; botocore's
response; MiniMax's `base_resp`; JSON in a string, as gateways hand on what they got;
a success that holds one of these.

Nothing is judged here (`inference_providers.failures.classifier` does), nothing is fetched: a
response that was not read yet says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Evidence", "leaves", "read"]

_MAX_LEAVES = 400
_MAX_DEPTH = 12
_MAX_BYTES = 200_000
_MAX_TEXT = 8_000
_MAX_WORD = 2_000

_CODE_KEYS = frozenset(
    {"code", "error", "error_code", "error_type", "errorcode", "type", "__type", "status"}
    | {"status_code", "reason", "limit_source", "quotaid", "finish_reason", "err_code"}
)
_ECHOES = frozenset(
    {"input", "flagged_input", "messages", "prompt", "failed_generation", "content", "model", "id"}
    | {
        "request_id",
        "requestid",
        "user_id",
        "url",
        "doc_url",
        "documentation_url",
        "@type",
        "param",
    }
)
"""Keys whose values are the caller's own words, or say nothing."""

_TELLING_KEYS = frozenset({"flagged_input"})
"""Keys that say something by being there."""

_STATUS_KEYS = ("code", "status", "status_code", "error_code")
_ERROR_KEYS = frozenset({"errors", "detail", "message", "msg", "code", "error_msg", "error_code"})
_MAX_CODE = 120


class Evidence(NamedTuple):
    """What a provider said when it failed.

    Attributes:
        http: The status of the response, if there was one.
        status: The status that counts: of a failed response, or else the one its body names.
        codes: Values of `code`, `type`, `status` …, in snake_case, outer ones first.
        text: All words of the body but for the caller's own, on one line.
        headers: Names in lower case.
        body: Decoded; `None` when nothing was said.
    """

    http: int | None
    status: int | None
    codes: tuple[str, ...]
    text: str
    headers: Mapping[str, str]
    body: Any


def read(error: BaseException) -> Evidence | None:
    """Return what `error` tells of a provider's answer; `None` when there was none."""
    response = _get(error, "response")
    http = _http_status(error, response)
    body = _body(error, response)
    if http is None and body is None:
        return None
    if http is None or http < 400:  # noqa: PLR2004 - where HTTP's errors begin
        spoken = http is None and isinstance(body, str) and not body.lstrip().startswith("<")
        body = {"message": body} if spoken else _inner_error(body)
        status = _named_status(body)
    else:
        status = http
        body = {"message": _text_of(error)} if body is None else body
    return Evidence(http, status, _codes(body), _text(body), _headers(error, response), body)


def leaves(body: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield each value that holds no other, in reading order, with its key and depth.

    Very large or deep bodies are cut off.
    """
    return islice(_walk("", body, 0), _MAX_LEAVES)


def _walk(key: str, value: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
    value = _decoded(value)
    if isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(key, item) for item in value]
    else:
        yield key, value, depth
        return
    if depth < _MAX_DEPTH:
        for name, item in items:
            yield from _walk(name, item, depth + 1)


def _get(holder: Any, name: str) -> Any:
    """Return an attribute; SDKs have properties that raise."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - whatever it raises, the attribute tells nothing
        return None


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - see `_get`
        return ""


def _decoded(value: Any) -> Any:
    """Return what a string of JSON says, and anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _int_status(value: Any) -> int | None:
    """Return 100 to 599, written as a number or as three digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if re.fullmatch(r"[1-5][0-9]{2}", str(value)[:4]) else None


def _http_status(error: BaseException, response: Any) -> int | None:
    if isinstance(response, Mapping):  # botocore
        about = response.get("ResponseMetadata")
        return _int_status(about.get("HTTPStatusCode")) if isinstance(about, Mapping) else None
    for holder, name in (
        (error, "status_code"),  # openai, anthropic, mistralai, ollama
        (response, "status_code"),  # httpx, requests
        (error, "status"),  # aiohttp
        (error, "code"),  # google.genai, google.api_core, urllib
    ):
        value = _get(holder, name)
        if isinstance(value, int) and (status := _int_status(value)) is not None:
            return status
    return None


def _body(error: BaseException, response: Any) -> Any:
    """Return the decoded body: all of it where there is a response, else the SDK's part."""
    if isinstance(response, Mapping):
        return {"error": response.get("Error")}
    # httpx and requests keep what was read here; their public `content` would go and read
    content = _get(response, "_content")
    if isinstance(content, bytes) and content.strip():
        return _decoded(content[:_MAX_BYTES].decode("utf-8", "replace"))
    for name in ("body", "details", "error"):
        value = _get(error, name)
        if isinstance(value, dict | list | str) and value:
            return _decoded(value)
    return None


def _inner_error(body: Any) -> Any:
    """Return the part of a success that tells of an error; `None` when there is none."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    if body.get("error"):
        return {key: value for key, value in body.items() if key != "choices"}
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        told = any(isinstance(body.get(key), str | int | list) for key in _ERROR_KEYS)
        return body if told or body.get("base_resp") or body.get("type") == "error" else None
    for choice in choices:
        if isinstance(choice, Mapping) and choice.get("error"):
            return {"error": choice["error"]}
        if isinstance(choice, Mapping) and choice.get("finish_reason") == "content_filter":
            return {"code": "content_filter"}
    return None


def _named_status(body: Any) -> int | None:
    """Return the status a body names, the outermost if it names more."""
    named = [
        (depth, status)
        for key, value, depth in leaves(body)
        if key in _STATUS_KEYS and (status := _int_status(value)) and status >= 400  # noqa: PLR2004
    ]
    return min(named)[1] if named else None


def _codes(body: Any) -> tuple[str, ...]:
    found = [key for key, _, _ in leaves(body) if key in _TELLING_KEYS]
    for key, value, _ in leaves(body):
        word = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if key.lower() in _CODE_KEYS and len(word) <= _MAX_CODE and " " not in word:
            found.append(_snake(word))
    return tuple(dict.fromkeys(found))


def _snake(word: str) -> str:
    word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", word.strip())
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")


def _text(body: Any) -> str:
    words = []
    for key, value, _ in leaves(body):
        name = key.lower()
        if not isinstance(value, str) or name in _ECHOES:
            continue
        if name not in _CODE_KEYS or " " in value.strip():  # a code may be a sentence
            words.append(value[:_MAX_WORD])
    return " ".join(" ".join(words).split())[:_MAX_TEXT]


def _headers(error: BaseException, response: Any) -> Mapping[str, str]:
    if isinstance(response, Mapping):
        about = response.get("ResponseMetadata")
        found = about.get("HTTPHeaders") if isinstance(about, Mapping) else None
    else:
        found = _get(response, "headers") or _get(error, "headers")
    if not isinstance(found, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in found.items()}
