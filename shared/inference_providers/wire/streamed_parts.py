"""Compares what was streamed with the whole that a server sends after it."""

from __future__ import annotations

from inference_providers.wire import json_codec
from inference_providers.wire.reported_errors import invalid_response

__all__ = ["agree", "rest_of_arguments", "rest_of_text"]

_NO_ARGUMENTS = frozenset({"", "{}"})


def agree(whole: str, streamed: str) -> bool:
    """Whether two texts are the same, apart from white space around them."""
    return whole == streamed or whole.strip() == streamed.strip()


def rest_of_text(whole: str, streamed: str) -> str:
    """Return what of a text was not streamed; nothing if the server does not repeat the text.

    Raises:
        InvalidResponseError: Another text was streamed.
    """
    if not streamed.strip():
        return whole
    if not whole or agree(whole, streamed):
        return ""
    whole, streamed = whole.lstrip(), streamed.lstrip()
    if not whole.startswith(streamed):
        msg = "a stream that contradicts itself: another text than the one it ends with"
        raise invalid_response(msg, whole)
    return whole[len(streamed) :]


def rest_of_arguments(whole: str, streamed: str) -> str:
    """Return what of a function call's arguments was not streamed.

    Raises:
        InvalidResponseError: Other arguments were streamed.
    """
    if streamed.strip() and (whole in _NO_ARGUMENTS or _is_same_json(whole, streamed)):
        return ""
    return rest_of_text(whole, streamed)


def _is_same_json(whole: str, streamed: str) -> bool:
    try:
        decoded = json_codec.decode(whole.encode()), json_codec.decode(streamed.encode())
    except ValueError:
        return False
    return bool(decoded[0] == decoded[1])
