"""LangChain's contract suite on a scripted server, for what the embedded model cannot do.

The server refuses requests that OpenAI's types do not allow, and behaves as a capable model: it
calls the tool that it is offered and answers with the schema that is requested.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from openai.types.chat import completion_create_params
from pydantic import TypeAdapter, ValidationError

from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_providers.testing import Request

REQUEST_TYPE = TypeAdapter[Any](completion_create_params.CompletionCreateParams)
EXAMPLE_VALUES = {"integer": 3, "number": 3.0, "boolean": True, "array": [], "object": {}}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
}


def capable_model(request: Request) -> Reply:
    """Answer as a model would that does everything it is asked."""
    body = request.body
    try:
        validated = REQUEST_TYPE.validate_python(without_tool_media(body))
        REQUEST_TYPE.dump_json(validated)  # validates the items of lists
    except ValidationError as error:
        return Reply(status=400, body={"error": {"message": str(error)}})
    last = body["messages"][-1]
    tools = [tool["function"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    if tools and (last["role"] != "tool" or choice == "required"):
        arguments = example(tools[0]["parameters"], text_of(last))
        call = {"name": tools[0]["name"], "arguments": arguments}
        return Reply("", tool_calls=(call,), argument_chunks=3, finish_reason="tool_calls")
    response_format = body.get("response_format") or {"type": "text"}
    if response_format["type"] == "json_schema":
        return Reply(json.dumps(example(response_format["json_schema"]["schema"], text_of(last))))
    if response_format["type"] == "json_object":  # without a schema; the keys are in the prompt
        return Reply(json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", text_of(last)), "a word")))
    return Reply("Hello there", usage=USAGE)


def without_tool_media(body: dict[str, Any]) -> dict[str, Any]:
    """Replace media in tool results, which OpenAI's type does not allow but vendors accept."""
    messages = [
        {**m, "content": "a file"} if m["role"] == "tool" and isinstance(m["content"], list) else m
        for m in body["messages"]
    ]
    return {**body, "messages": messages}


def text_of(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else json.dumps(content)


def example(schema: Mapping[str, Any], prompt: str) -> Any:
    """Return a value that matches a schema; strings are what the prompt quotes."""
    if "properties" in schema:
        return {name: example(item, prompt) for name, item in schema["properties"].items()}
    quoted = re.search("'(.+?)'", prompt)
    return EXAMPLE_VALUES.get(str(schema.get("type")), quoted[1] if quoted else "a word")


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Record nothing: the server is on this machine."""
    return {"ignore_localhost": True}


# Half of the suite's files have no name; langchain-openai invents one and warns.
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # it times recordings
@pytest.mark.filterwarnings("ignore:OpenAI may require a filename")
class TestScripted(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _served(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        def download(url: str, **_: Any) -> httpx.Response:
            return httpx.Response(200, content=url.encode())  # instead of downloading

        monkeypatch.setattr(httpx, "get", download)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "autoprovider")
        monkeypatch.setenv("CAPABLE_KEY", "capable-key-value")
        with FakeProvider(capable_model) as self.fake:
            yield

    @property
    def chat_model_class(self) -> type[AutoChatModel]:
        return AutoChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        inputs = ["text", "image", "pdf", "audio"]
        entry = {"id": "m-1", "input": inputs, "tools": True, "structured": True}
        row = self.fake.row({"m-1": entry, "m-2": {**entry, "id": "m-2"}}, key="CAPABLE_KEY")
        return {"model": "m-1", "registry": {"providers": {"capable": row}}}

    @property
    def model_override_value(self) -> str:
        return "m-2"

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "function_calling"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def supported_usage_metadata_details(self) -> dict[str, list[str]]:
        details = ["audio_input", "audio_output", "reasoning_output", "cache_read_input"]
        return {"invoke": details, "stream": details}

    def _answer_with_usage(self, *, stream: bool) -> AIMessage:
        model = AutoChatModel(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        whole = None
        for chunk in model.stream("Hello"):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        return whole

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        return self._answer_with_usage(stream=stream)

    def invoke_with_audio_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer_with_usage(stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._answer_with_usage(stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._answer_with_usage(stream=stream)


class TestScriptedSchema(TestScripted):
    """The same suite with structured output by JSON schema."""

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}
