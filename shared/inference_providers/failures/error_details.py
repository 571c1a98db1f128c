"""Reads what an exception carries: status, codes, text and headers, whatever SDK raised it.

Shapes that are read, at any depth: an `error` object; an `error` string beside a
`code`; an array of one; flat `{"object": "error"}`; `errors: [{code}]`; `detail` as
a string or an object; Anthropic's `details.error_code`; `innererror`; botocore's
response; MiniMax's `base_resp`; JSON inside a string, as gateways forward it;
an HTTP 200 that holds one of these.

Nothing is judged here (`classifier` does that) and nothing is fetched: a response whose
body was not read yet contributes its status and headers only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ErrorDetails", "leaves", "read_details"]

_MAX_LEAVES = 400
_MAX_DEPTH = 12
_MAX_BODY_BYTES = 200_000
_MAX_TEXT_CHARS = 8_000
_MAX_VALUE_CHARS = 2_000
_MAX_CODE_CHARS = 120

_CODE_KEYS = frozenset(
    {
        "__type", "code", "err_code", "error", "error_code", "error_type", "errorcode",
        "finish_reason", "limit_source", "quotaid", "reason", "status", "status_code", "type",
    }
)  # fmt: skip
"""Keys, in lower case, whose values are codes."""

_IGNORED_KEYS = frozenset(
    {
        "@type", "content", "doc_url", "documentation_url", "failed_generation", "flagged_input",
        "id", "input", "messages", "model", "param", "prompt", "request_id", "requestid", "url",
        "user_id",
    }
)  # fmt: skip
"""Keys, in lower case, whose values echo the caller's words or explain nothing."""

_SIGNAL_KEYS = frozenset({"flagged_input"})
"""Keys whose mere presence is a code."""

_STATUS_KEYS = ("code", "status", "status_code", "error_code")
_ERROR_KEYS = frozenset({"errors", "detail", "message", "msg", "code", "error_msg", "error_code"})
"""Keys that mark a body without `choices` as an error."""


class ErrorDetails(NamedTuple):
    """What a provider reported when it failed.

    Attributes:
        http_status: The status of the response, if there was one.
        status: The status that counts: a failed response's own, else the one its body names.
        codes: Values of `code`, `type`, `status` and the like, in snake_case, outer ones first.
        text: All words of the body except the caller's own, on one line.
        headers: Response headers, names in lower case.
        body: The decoded body; `None` if there was none.
    """

    http_status: int | None
    status: int | None
    codes: tuple[str, ...]
    text: str
    headers: Mapping[str, str]
    body: Any


def read_details(error: BaseException) -> ErrorDetails | None:
    """Return what `error` reports about a provider's response; `None` if it carries no response."""
    response = _attribute(error, "response")
    http_status = _response_status(error, response)
    body = _response_body(error, response)
    if http_status is None and body is None:
        return None
    if http_status is not None and http_status >= HTTPStatus.BAD_REQUEST:
        status: int | None = http_status
        body = {"message": _error_message(error)} if body is None else body
    elif http_status is None and isinstance(body, str) and not body.lstrip().startswith("<"):
        body = {"message": body}
        status = None
    else:
        body = _error_in_success(body)
        status = _named_status(body)
    return ErrorDetails(
        http_status=http_status,
        status=status,
        codes=_collect_codes(body),
        text=_collect_text(body),
        headers=_response_headers(error, response),
        body=body,
    )


def leaves(body: Any) -> Iterator[tuple[str, Any, int]]:
    """Yield each value that is not a container, in reading order, with its key and depth.

    JSON inside strings is opened. Very large or deep bodies are cut off.
    """
    return islice(_walk("", body, 0), _MAX_LEAVES)


def _walk(key: str, value: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
    value = _decode_json(value)
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


def _attribute(holder: Any, name: str) -> Any:
    """Return an attribute or `None`; SDKs have properties that raise."""
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - whatever a property raises, it carries nothing
        return None


def _error_message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an SDK's `__str__` may fail
        return ""


def _decode_json(value: Any) -> Any:
    """Return the content of a string that holds a JSON object or array; else the value."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _parse_status(value: Any) -> int | None:
    """Return a status from 100 to 599, given as a number or as three digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if re.fullmatch(r"[1-5][0-9]{2}", str(value)[:4]) else None


def _response_status(error: BaseException, response: Any) -> int | None:
    if isinstance(response, Mapping):  # botocore
        return _parse_status(_botocore_metadata(response).get("HTTPStatusCode"))
    for holder, name in (
        (error, "status_code"),  # openai, anthropic, mistralai, ollama
        (response, "status_code"),  # httpx, requests
        (error, "status"),  # aiohttp
        (error, "code"),  # google.genai, google.api_core, urllib
    ):
        value = _attribute(holder, name)
        status = _parse_status(value) if isinstance(value, int) else None
        if status is not None:
            return status
    return None


def _response_headers(error: BaseException, response: Any) -> Mapping[str, str]:
    if isinstance(response, Mapping):
        headers = _botocore_metadata(response).get("HTTPHeaders")
    else:
        headers = _attribute(response, "headers") or _attribute(error, "headers")
    if not isinstance(headers, Mapping):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _botocore_metadata(response: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = response.get("ResponseMetadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _response_body(error: BaseException, response: Any) -> Any:
    """Return the decoded body: the whole one if there is a response, else the part an SDK kept."""
    if isinstance(response, Mapping):
        return {"error": response.get("Error")}
    # httpx and requests keep what was read in `_content`; their `content` would read the network.
    content = _attribute(response, "_content")
    if isinstance(content, bytes) and content.strip():
        return _decode_json(content[:_MAX_BODY_BYTES].decode("utf-8", "replace"))
    for name in ("body", "details", "error"):
        value = _attribute(error, name)
        if isinstance(value, dict | list | str) and value:
            return _decode_json(value)
    return None


def _error_in_success(body: Any) -> Any:
    """Return the part of an HTTP 200 body that reports an error; `None` if it reports none."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, Mapping):
        return None
    if body.get("error"):
        return {key: value for key, value in body.items() if key != "choices"}
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        return _error_in_choices(choices)
    return body if _looks_like_error(body) else None


def _looks_like_error(body: Mapping[str, Any]) -> bool:
    has_error_key = any(isinstance(body.get(key), str | int | list) for key in _ERROR_KEYS)
    return has_error_key or bool(body.get("base_resp")) or body.get("type") == "error"


def _error_in_choices(choices: list[Any]) -> Any:
    for choice in choices:
        if not isinstance(choice, Mapping):
            continue
        if choice.get("error"):
            return {"error": choice["error"]}
        if choice.get("finish_reason") == "content_filter":
            return {"code": "content_filter"}
    return None


def _named_status(body: Any) -> int | None:
    """Return the error status that a body names, the outermost if it names several."""
    named = []
    for key, value, depth in leaves(body):
        status = _parse_status(value) if key in _STATUS_KEYS else None
        if status is not None and status >= HTTPStatus.BAD_REQUEST:
            named.append((depth, status))
    return min(named)[1] if named else None


def _collect_codes(body: Any) -> tuple[str, ...]:
    codes = [key for key, _, _ in leaves(body) if key in _SIGNAL_KEYS]
    for key, value, _ in leaves(body):
        if key.lower() not in _CODE_KEYS:
            continue
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        code = str(value)
        if len(code) <= _MAX_CODE_CHARS and " " not in code:
            codes.append(_snake_case(code))
    return tuple(dict.fromkeys(codes))


def _snake_case(code: str) -> str:
    code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", code.strip())
    return re.sub(r"[^a-z0-9]+", "_", code.lower()).strip("_")


def _collect_text(body: Any) -> str:
    texts = []
    for key, value, _ in leaves(body):
        name = key.lower()
        if not isinstance(value, str) or name in _IGNORED_KEYS:
            continue
        # Some providers put sentences into `code` or `error`; Chinese ones have no spaces.
        is_sentence = " " in value.strip() or not value.isascii()
        if is_sentence or name not in _CODE_KEYS:
            texts.append(value[:_MAX_VALUE_CHARS])
    return " ".join(" ".join(texts).split())[:_MAX_TEXT_CHARS]
