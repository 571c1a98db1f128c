"""Each protocol's table lists every finish reason that its vendor's SDK knows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from langchain_autoprovider.protocols.table import PROTOCOLS


def literals(type_: Any) -> set[str]:
    """Return the strings of a `Literal`, also inside unions."""
    values = get_args(type_)
    nested: set[str] = set().union(*(literals(value) for value in values if get_args(value)))
    return nested | {value for value in values if isinstance(value, str)}


def words_of(protocol: str) -> set[str]:
    """Return the finish reasons that a protocol's SDK knows."""
    if protocol == "anthropic":
        from anthropic.types import StopReason
        from anthropic.types.beta import BetaStopReason

        return literals(StopReason) | literals(BetaStopReason)
    if protocol == "cohere":
        from cohere.types import ChatFinishReason, ChatStreamEndEventFinishReason, FinishReason

        return set().union(
            *map(literals, (ChatFinishReason, ChatStreamEndEventFinishReason, FinishReason))
        )
    if protocol == "google-genai":
        from google.genai.types import FinishReason as Google

        return {reason.value for reason in Google} - {"FINISH_REASON_UNSPECIFIED"}
    if protocol == "openai-chat":
        from openai.types.chat.chat_completion import Choice

        return literals(Choice.model_fields["finish_reason"].annotation)
    if protocol == "openai-responses":
        from openai.types.responses import ResponseStatus
        from openai.types.responses.response import IncompleteDetails

        details = literals(IncompleteDetails.model_fields["reason"].annotation)
        return literals(ResponseStatus) | details
    import botocore

    (model,) = Path(botocore.__file__).parent.glob("data/bedrock-runtime/*/service-2.json.gz")
    shapes = json.loads(gzip.decompress(model.read_bytes()))["shapes"]
    return set(shapes["StopReason"]["enum"])


@pytest.mark.parametrize(
    "protocol",
    ["anthropic", "bedrock", "openai-chat", "cohere", "google-genai", "openai-responses"],
)
def test_table_has_every_reason_that_the_sdk_knows(protocol: str) -> None:
    words = words_of(protocol)
    assert len(words) >= 5
    assert {word.lower() for word in words} <= set(PROTOCOLS[protocol].finish_reasons.words)
