"""Properties of `adapt_history` that hold for any conversation and any route."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_mistralai import ChatMistralAI

import factories
from inference_providers.types import Quirks, Route
from langchain_autoprovider.messages.history import adapt_history
from langchain_autoprovider.protocols.openai import OpenAIRoute
from langchain_autoprovider.protocols.table import message_format_of

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_autoprovider.messages.message_format import MessageFormat

PROTOCOLS = (
    "openai-chat", "openai-responses", "azure", "anthropic", "google-genai", "vertex", "mistral",
    "bedrock", "cohere",
)  # fmt: skip
PROVIDERS = {"openai": "openai", "claude": "anthropic", "gemini": "google_genai", "le": "mistralai"}

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ids = st.sampled_from(("call_0", "a:1", "toolu_1", "abcDEF123", "x" * 70, "", "functions.add:0"))
extra_keys = st.sampled_from(({}, {"cache_control": {"type": "ephemeral"}}, {"id": "lc_1"}))

text_blocks: Any = st.builds(
    lambda text, mark: {"type": "text", "text": text, **mark}, texts, extra_keys
)
media: Any = st.sampled_from(
    (
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "media", "mime_type": "application/pdf", "data": "aGk="},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "hologram", "x": 1},
        {"no": "type"},
    )
)
contents = texts | st.lists(texts | text_blocks | media, max_size=3)
reasoning: Any = st.builds(
    lambda text, kind: {"type": kind, kind: text, "signature": "c2ln", "id": "rs_1"},
    texts,
    st.sampled_from(("thinking", "reasoning")),
)


def accepted_by(route: Route) -> MessageFormat:
    return message_format_of(route.endpoint.protocol, route.kind, route.quirks)


def adapt(messages: Any, route: Route) -> list[BaseMessage]:
    return adapt_history(messages, route, accepted_by(route))


@st.composite
def answers(draw: st.DrawFn) -> AIMessage:
    calls = draw(st.lists(st.tuples(ids | st.none(), st.sampled_from(("add", "look"))), max_size=3))
    blocks: Any = draw(texts | st.just("") | st.lists(texts | text_blocks | reasoning, max_size=3))
    if isinstance(blocks, list) and draw(st.booleans()):
        blocks += [
            {"type": "tool_use", "id": id_, "name": name, "input": {}} for id_, name in calls if id_
        ]
    message = AIMessage(blocks, tool_calls=[_call(id_, name) for id_, name in calls])
    if who := draw(st.sampled_from((None, *PROVIDERS))):
        message.response_metadata["model_provider"] = PROVIDERS[who]
        if draw(st.booleans()):
            message.response_metadata["autoprovider"] = {"provider": who, "model_id": "m-id"}
    return message


def _call(id_: str | None, name: str) -> Any:
    return {"name": name, "args": {"a": 1}, "id": id_, "type": "tool_call"}


messages: Any = st.lists(
    st.one_of(
        st.builds(SystemMessage, texts | st.lists(text_blocks, max_size=2)),
        st.builds(HumanMessage, contents, name=st.none() | texts),
        answers(),
        st.builds(lambda contents, id_: ToolMessage(contents, tool_call_id=id_), contents, ids),
    ),
    max_size=8,
)
routes = st.builds(
    lambda protocol, provider, quirks, kind: factories.route(
        provider, protocol=protocol, model_id="m-id", quirks=quirks, kind=kind
    ),
    st.sampled_from(PROTOCOLS),
    st.sampled_from(tuple(PROVIDERS)),
    st.builds(
        Quirks,
        single_system=st.booleans(),
        replay_reasoning=st.booleans(),
        tool_call_ids=st.sampled_from(("any", "alnum9")),
    ),
    st.sampled_from(("direct", "gateway")),
)


FEWER = settings(max_examples=settings().max_examples // 5)
"""Conversations are slow to draw."""


def texts_of(message: BaseMessage) -> list[str]:
    if isinstance(message.content, str):
        return [message.content]
    return [
        block if isinstance(block, str) else block["text"]
        for block in message.content
        if isinstance(block, str) or block.get("type") == "text"
    ]


@FEWER
@given(messages, routes)
def test_adapt_history_is_idempotent(conversation: list[BaseMessage], route: Route) -> None:
    once = adapt(conversation, route)
    assert adapt(once, route) == once


@FEWER
@given(messages, routes)
def test_adapt_history_modifies_no_message(conversation: list[BaseMessage], route: Route) -> None:
    before = deepcopy(conversation)
    adapt(conversation, route)
    assert conversation == before


@FEWER
@given(messages, routes)
def test_adapt_history_loses_no_text(conversation: list[BaseMessage], route: Route) -> None:
    remaining = iter(
        "".join(
            text for m in adapt(conversation, route) if m.type != "tool" for text in texts_of(m)
        )
    )
    for message in conversation:
        if not isinstance(message, ToolMessage):
            for text in texts_of(message):
                assert all(letter in remaining for letter in text)


@FEWER
@given(messages, routes)
def test_each_call_is_followed_by_one_result(conversation: list[BaseMessage], route: Route) -> None:
    open_ids: set[str | None] = set()
    used_ids: set[str | None] = set()
    pattern = re.compile(accepted_by(route).call_ids)
    for message in adapt(conversation, route):
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in open_ids
            open_ids.discard(message.tool_call_id)
            continue
        assert not open_ids
        if isinstance(message, AIMessage):
            open_ids = {call["id"] for call in message.tool_calls}
            assert len(open_ids) == len(message.tool_calls)
            assert not open_ids & used_ids
            used_ids |= open_ids
            native = message.response_metadata.get("model_provider")
            assert native or all(pattern.fullmatch(id_ or "") for id_ in open_ids)
    assert not open_ids


@FEWER
@given(messages, routes)
def test_signatures_stay_with_their_provider(conversation: list[BaseMessage], route: Route) -> None:
    for message in adapt(conversation, route):
        if isinstance(message, AIMessage) and "c2ln" in str(message.content):
            metadata = message.response_metadata
            if trace := metadata.get("autoprovider"):
                assert trace["provider"] == route.provider
            else:
                assert metadata["model_provider"] in accepted_by(route).model_providers


CONVERTERS: dict[str, Any] = {
    "openai-chat": OpenAIRoute(model="m", client=1, root_client=1)._get_request_payload,
    "openai-responses": OpenAIRoute(
        model="m", client=1, root_client=1, use_responses_api=True
    )._get_request_payload,
    "anthropic": ChatAnthropic(model="claude-sonnet-4-5", api_key="x")._get_request_payload,
    "google-genai": ChatGoogleGenerativeAI(
        model="gemini-3-pro", google_api_key="x"
    )._prepare_request,
    "mistral": partial(ChatMistralAI(api_key="x")._create_message_dicts, stop=None),
}
"""How the class of each protocol converts a conversation into a request."""


def is_known_to_every_class(message: BaseMessage) -> bool:
    unknown = ("hologram", "'no'", "input_audio", "application/pdf")
    return not any(text in str(message.content) for text in unknown) and bool(message.content)


@FEWER
@given(messages, routes)
def test_vendor_classes_accept_the_adapted_history(
    conversation: list[BaseMessage], route: Route
) -> None:
    common = [message for message in conversation if is_known_to_every_class(message)]
    if convert := CONVERTERS.get(route.endpoint.protocol):
        assert convert(adapt([HumanMessage("Hi"), *common], route))
