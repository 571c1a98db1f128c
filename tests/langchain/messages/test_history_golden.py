"""A conversation with each provider, as it is sent to each other provider.

Its answers are parsed from wire bodies by the class of each protocol. The golden files hold
the requests that the class of the next protocol builds from the adapted conversation.

`PYTEST_GOLDEN=write` rewrites the files in `golden/`.
"""

from __future__ import annotations

import json
import os
import re
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import Message
from google.genai.types import GenerateContentResponse
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_google_genai.chat_models import _response_to_result
from langchain_mistralai import ChatMistralAI
from langchain_openai.chat_models.base import _construct_lc_result_from_responses_api
from openai.types.responses import Response

import factories
from inference_providers.types import Quirks, Route
from langchain_autoprovider.messages.history import adapt_history
from langchain_autoprovider.protocols.openai import OpenAIRoute
from langchain_autoprovider.protocols.table import message_format_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import BaseMessage

    from langchain_autoprovider import AutoChatModel

GOLDEN = Path(__file__).parent / "golden"

REASONING = "I need the weather of both towns."
TEXT = "Let me look that up."
LAST_TEXT = "Oslo is colder than Rome."
RESULTS = ("Snow, -4 degrees.", "Sunny, 21 degrees.")
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


VENDORS: dict[str, Callable[[], Any]] = {
    "anthropic": lambda: ChatAnthropic(model="claude-sonnet-4-5", api_key="x"),
    "gemini": lambda: ChatGoogleGenerativeAI(model="gemini-3-pro", google_api_key="x"),
    "mistral": lambda: ChatMistralAI(model="magistral-medium", api_key="x"),
}


def chat(message: dict[str, Any], finish: str) -> AIMessage:
    """Return an answer in OpenAI's chat protocol, as `OpenAIRoute` parses it."""
    body = {
        "id": "chatcmpl-B1",
        "object": "chat.completion",
        "created": 1763800000,
        "model": "some-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 40, "total_tokens": 130},
    }
    model = OpenAIRoute(model="m", client=1, root_client=1)
    return answer_in(model._create_chat_result(body))


def chat_calls(*ids: str, **further: Any) -> AIMessage:
    calls = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": "weather", "arguments": f'{{"town": "{town}"}}'},
        }
        for id_, town in zip(ids, ("Oslo", "Rome"), strict=True)
    ]
    message = {"role": "assistant", "content": TEXT, "tool_calls": calls, **further}
    return chat(message, "tool_calls")


def chat_text(**further: Any) -> AIMessage:
    return chat({"role": "assistant", "content": LAST_TEXT, **further}, "stop")


def responses(*output: dict[str, Any]) -> AIMessage:
    body = {
        "id": "resp_68af40",
        "object": "response",
        "created_at": 1763800000,
        "status": "completed",
        "model": "gpt-5.5",
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 90,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 130,
        },
    }
    return answer_in(_construct_lc_result_from_responses_api(Response.model_validate(body)))


def responses_item(**item: Any) -> dict[str, Any]:
    return {"status": "completed", **item}


def anthropic(stop: str, *blocks: dict[str, Any]) -> AIMessage:
    body = {
        "id": "msg_01XFD",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": list(blocks),
        "stop_reason": stop,
        "usage": {"input_tokens": 90, "output_tokens": 40},
    }
    return answer_in(VENDORS["anthropic"]()._format_output(Message.model_validate(body)))


def gemini(*parts: dict[str, Any]) -> AIMessage:
    body = {
        "candidates": [
            {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP"}
        ],
        "modelVersion": "gemini-3-pro",
        "responseId": "r1",
        "usageMetadata": {"promptTokenCount": 90, "candidatesTokenCount": 40},
    }
    return answer_in(_response_to_result(GenerateContentResponse.model_validate(body)))


def mistral(message: dict[str, Any], finish: str) -> AIMessage:
    body = {
        "id": "cmpl-1",
        "object": "chat.completion",
        "model": "magistral-medium",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 40, "total_tokens": 130},
    }
    return answer_in(VENDORS["mistral"]()._create_chat_result(body))


def answer_in(result: Any) -> AIMessage:
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    return message


def mistral_answers() -> tuple[AIMessage, AIMessage]:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": REASONING}]}
    calls = [
        {
            "id": id_,
            "type": "function",
            "function": {"name": "weather", "arguments": f'{{"town": "{town}"}}'},
        }
        for id_, town in (("kD3hX91aQ", "Oslo"), ("pL0zT47bW", "Rome"))
    ]
    message: Any = [thinking, {"type": "text", "text": TEXT}]
    first = {"role": "assistant", "content": message, "tool_calls": calls}
    return mistral(first, "tool_calls"), mistral(
        {"role": "assistant", "content": LAST_TEXT}, "stop"
    )


def anthropic_answers() -> tuple[AIMessage, AIMessage]:
    signed = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"
    calls = [
        {"type": "tool_use", "id": id_, "name": "weather", "input": {"town": town}}
        for id_, town in (("toolu_01Oslo", "Oslo"), ("toolu_01Rome", "Rome"))
    ]
    return (
        anthropic(
            "tool_use",
            {"type": "thinking", "thinking": REASONING, "signature": signed},
            {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"},
            {"type": "text", "text": TEXT},
            *calls,
        ),
        anthropic("end_turn", {"type": "text", "text": LAST_TEXT}),
    )


def gemini_answers() -> tuple[AIMessage, AIMessage]:
    signed = "CiQBcsjafJ20p51sOXYTpeV7PbCN0fHl+Zw="
    return (
        gemini(
            {"text": REASONING, "thought": True},
            {"text": TEXT},
            {
                "functionCall": {"id": "oslo 1", "name": "weather", "args": {"town": "Oslo"}},
                "thoughtSignature": signed,
            },
            {"functionCall": {"id": "rome 1", "name": "weather", "args": {"town": "Rome"}}},
        ),
        gemini({"text": LAST_TEXT, "thoughtSignature": signed}),
    )


def responses_answers() -> tuple[AIMessage, AIMessage]:
    reasoning = {
        "type": "reasoning",
        "id": "rs_68af4030",
        "summary": [{"type": "summary_text", "text": REASONING}],
        "encrypted_content": "gAAAAABorv",
    }

    def text(id_: str, message: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": message, "annotations": []}
        return responses_item(type="message", id=id_, role="assistant", content=[part])

    calls = [
        responses_item(
            type="function_call",
            id=f"fc_68af40{town}",
            call_id=f"call_{town}",
            name="weather",
            arguments=f'{{"town": "{town}"}}',
        )
        for town in ("Oslo", "Rome")
    ]
    return responses(reasoning, text("msg_68af4031", TEXT), *calls), responses(
        text("msg_68af4035", LAST_TEXT)
    )


SOURCES: dict[str, Callable[[], tuple[AIMessage, AIMessage]]] = {
    "openai": lambda: (chat_calls("call_QpZ1Oslo", "call_QpZ1Rome", refusal=None), chat_text()),
    "responses": responses_answers,
    "anthropic": anthropic_answers,
    "gemini": gemini_answers,
    "mistral": mistral_answers,
    "deepseek": lambda: (
        chat_calls("call_00_oslo", "call_00_rome", reasoning_content=REASONING),
        chat_text(reasoning_content="Done."),
    ),
    "generic": lambda: (
        chat_calls("functions.weather:0", "functions.weather:1", reasoning=REASONING),
        chat_text(),
    ),
}
"""The two answers of each provider: one with reasoning, text and two calls, and the last one."""


def route(name: str) -> Route:
    protocol = {
        "responses": "openai-responses",
        "anthropic": "anthropic",
        "gemini": "google-genai",
        "mistral": "mistral",
    }.get(name, "openai-chat")
    quirks = {"deepseek": Quirks(replay_reasoning=True), "openai": Quirks()}
    return factories.route(
        name,
        protocol=protocol,
        model_id=f"{name}-model",
        quirks=quirks.get(name, Quirks()),
    )


def openai_body(name: str, messages: list[BaseMessage]) -> Any:
    is_responses = name == "responses"
    model = OpenAIRoute(
        model="m",
        replay_reasoning=route(name).quirks.replay_reasoning,
        use_responses_api=is_responses,
        client=1,
        root_client=1,
    )
    body = model._get_request_payload(messages)
    return body["input" if is_responses else "messages"]


def anthropic_body(messages: list[BaseMessage]) -> Any:
    body = VENDORS["anthropic"]()._get_request_payload(messages)
    return {"system": body["system"], "messages": body["messages"]}


def gemini_body(messages: list[BaseMessage]) -> Any:
    body = VENDORS["gemini"]()._prepare_request(messages)
    return {
        "system": body["config"].system_instruction.model_dump(mode="json", exclude_none=True),
        "contents": [plain(content.model_dump(exclude_none=True)) for content in body["contents"]],
    }


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(kept) for key, kept in value.items()}
    if isinstance(value, list):
        return [plain(kept) for kept in value]
    return f"bytes: {value.hex()[:16]}" if isinstance(value, bytes) else value


def body_for(target: str, messages: list[BaseMessage]) -> Any:
    to = route(target)
    adapted = adapt_history(
        messages, to, message_format_of(to.endpoint.protocol, to.kind, to.quirks)
    )
    if target == "anthropic":
        return anthropic_body(adapted)
    if target == "gemini":
        return gemini_body(adapted)
    if target == "mistral":
        return VENDORS["mistral"]()._create_message_dicts(adapted, None)[0]
    return openai_body(target, adapted)


def conversation(source: str) -> list[BaseMessage]:
    """Return an agent's conversation with the answers of `source`."""
    answers = SOURCES[source]()
    for answer in answers:
        trace = {"provider": source, "model_id": f"{source}-model"}
        answer.response_metadata["autoprovider"] = trace
    marker = {"type": "ephemeral"}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    first, last = answers
    oslo, rome = (str(call["id"]) for call in first.tool_calls)
    result_image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    return [
        SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": marker}]),
        HumanMessage([{"type": "text", "text": "Which is colder?"}, image], name="Anna B."),
        first,
        ToolMessage([{"type": "text", "text": RESULTS[0]}, result_image], tool_call_id=oslo),
        ToolMessage(RESULTS[1], tool_call_id=rome, name="weather"),
        last,
        SystemMessage("Answer in French."),
        HumanMessage("And in summer?"),
    ]


PAIRS = list(permutations(SOURCES, 2))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_adapted_request_matches_the_golden_file(source: str, target: str) -> None:
    sent = json.loads(json.dumps(body_for(target, conversation(source))))
    path = GOLDEN / f"{source}-to-{target}.json"
    if os.environ.get("PYTEST_GOLDEN") == "write":
        path.write_text(json.dumps(sent, indent=1, ensure_ascii=False) + "\n")
    assert sent == json.loads(path.read_text())


def test_golden_files_are_those_of_the_pairs() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {f"{a}-to-{b}" for a, b in PAIRS}


IDS = {"mistral": r"[a-zA-Z0-9]{9}", "anthropic": r"[a-zA-Z0-9_-]+", "responses": r"[\w-]{1,64}"}
CHAT_TYPES = {"text", "image_url", "function"}
TYPES = {
    "responses": {
        "message", "input_text", "input_image", "output_text", "function_call",
        "function_call_output",
    },
    "anthropic": {"text", "image", "base64", "tool_use", "tool_result", "ephemeral"},
    "gemini": {"text"},
}  # fmt: skip
"""The values of `type` that a request may contain."""
PROVIDER_ONLY = (
    "EqQBCgIYAhIM",
    "EmwKAhgBEgy",
    "CiQBcsjafJ",
    "rs_68",
    "msg_68",
    "fc_68",
    "gAAAAAB",
    "msg_01",
)
"""Parts of the answers above that only their provider can read."""


def values(body: Any, *keys: str) -> list[Any]:
    """Return the strings under these keys, at any depth, in order."""
    if isinstance(body, list):
        return [value for item in body for value in values(item, *keys)]
    if not isinstance(body, dict):
        return []
    direct = [body[key] for key in keys if isinstance(body.get(key), str)]
    return direct + [value for item in body.values() for value in values(item, *keys)]


def calls_and_results(target: str, sent: Any) -> tuple[list[str], list[str]]:
    if target == "anthropic":
        return values(values_of_type(sent, "tool_use"), "id"), values(sent, "tool_use_id")
    if target == "responses":
        calls = values(values_of_type(sent, "function_call"), "call_id")
        return calls, values(values_of_type(sent, "function_call_output"), "call_id")
    return [c["id"] for m in sent for c in m.get("tool_calls", [])], values(sent, "tool_call_id")


def values_of_type(body: Any, kind: str) -> list[Any]:
    if isinstance(body, list):
        return [value for item in body for value in values_of_type(item, kind)]
    if not isinstance(body, dict):
        return []
    direct = [body] if body.get("type") == kind else []
    return direct + [value for item in body.values() for value in values_of_type(item, kind)]


@pytest.mark.parametrize(("source", "target"), [*PAIRS, *((name, name) for name in SOURCES)])
def test_adapted_request_is_valid_for_its_target(source: str, target: str) -> None:
    sent = json.loads(json.dumps(body_for(target, conversation(source))))
    request_json = json.dumps(sent)
    if target == "gemini":
        assert values(sent, "name") == ["weather"] * 4
    else:
        calls, results = calls_and_results(target, sent)
        assert len(set(calls)) == 2
        assert results == calls
        assert all(re.fullmatch(IDS.get(target, r".{1,40}"), id_) for id_ in calls)
    for text in (
        "Be brief.",
        "Which is colder?",
        TEXT,
        LAST_TEXT,
        *RESULTS,
        "in French",
        "in summer?",
    ):
        assert request_json.count(text) == 1, text
    assert request_json.count(PIXEL[:40]) + request_json.count("bytes: 89504e470d0a1a0a") == 2
    assert ("ephemeral" in request_json) is (target == "anthropic")
    if source != target:
        assert set(values(sent, "type")) <= TYPES.get(target, CHAT_TYPES)
        assert not [sign for sign in PROVIDER_ONLY if sign in request_json]
        assert "thoughtSignature" not in request_json
        assert (REASONING in request_json) is (target == "deepseek" and source != "openai")


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("anthropic", ("EqQBCgIYAhIM", "EmwKAhgBEgy", REASONING)),
        ("responses", ("rs_68", "gAAAAAB", "msg_68", "fc_68", REASONING)),
        ("gemini", ("thought_signature", REASONING)),
        ("mistral", (REASONING,)),
        ("deepseek", (REASONING, "Done.")),
    ],
)
def test_native_answers_return_with_their_reasoning(source: str, kept: tuple[str, ...]) -> None:
    messages = conversation(source)
    request_json = json.dumps(body_for(source, messages))
    assert not [text for text in kept if text not in request_json]


@pytest.mark.parametrize("source", ["anthropic", "responses", "gemini"])
def test_another_model_gets_no_reasoning(source: str) -> None:
    messages = conversation(source)
    for message in messages:
        if isinstance(message, AIMessage):
            message.response_metadata["autoprovider"]["model_id"] = "another"
    request_json = json.dumps(body_for(source, messages))
    assert REASONING not in request_json
    assert not [sign for sign in PROVIDER_ONLY if sign in request_json]


@pytest.mark.parametrize("source", ["anthropic", "gemini", "mistral"])
def test_untraced_vendor_answers_are_native(source: str) -> None:
    messages = conversation(source)
    for message in messages:
        message.response_metadata.pop("autoprovider", None)
    assert REASONING in json.dumps(body_for(source, messages))


@pytest.mark.parametrize("source", SOURCES)
def test_real_server_accepts_every_adapted_history(source: str, embedded: AutoChatModel) -> None:
    messages = conversation(source)
    for message in messages:
        if isinstance(message.content, list) and not isinstance(message, AIMessage):
            message.content = [block for block in message.content if block["type"] == "text"]
    for end in (5, len(messages)):  # in the middle of a tool loop, and after it
        answer = embedded.invoke(messages[:end], max_tokens=4)
        assert answer.response_metadata["autoprovider"]["provider"] == "embedded"
