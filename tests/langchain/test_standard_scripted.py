"""LangChain's own contract suite where the embedded model is too small for it.

The server refuses what OpenAI's own types do not allow, and does what a capable model
would: it calls the tool it is offered, and answers in the shape it is asked for.
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

ALLOWED = TypeAdapter[Any](completion_create_params.CompletionCreateParams)
EXAMPLES = {"integer": 3, "number": 3.0, "boolean": True, "array": [], "object": {}}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 2},
}


def capable(request: Request) -> Reply:
    body = request.body
    try:
        ALLOWED.dump_json(ALLOWED.validate_python(as_text(body)))  # dumping looks into lists
    except ValidationError as error:
        return Reply(status=400, body={"error": {"message": str(error)}})
    last = body["messages"][-1]
    tools = [tool["function"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    if tools and (last["role"] != "tool" or choice == "required"):
        arguments = example(tools[0]["parameters"], said(last))
        call = {"name": tools[0]["name"], "arguments": arguments}
        return Reply("", tool_calls=(call,), argument_chunks=3, finish_reason="tool_calls")
    shape = body.get("response_format") or {"type": "text"}
    if shape["type"] == "json_schema":
        return Reply(json.dumps(example(shape["json_schema"]["schema"], said(last))))
    if shape["type"] == "json_object":  # no schema is told, so it does what the prompt says
        return Reply(json.dumps(dict.fromkeys(re.findall(r"'(\w+)'", said(last)), "a word")))
    return Reply("Hello there", usage=USAGE)


def as_text(body: dict[str, Any]) -> dict[str, Any]:
    """Leave a tool's pictures and files out: OpenAI's type has none, other vendors take them."""
    messages = [
        {**m, "content": "a file"} if m["role"] == "tool" and isinstance(m["content"], list) else m
        for m in body["messages"]
    ]
    return {**body, "messages": messages}


def said(message: Mapping[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else json.dumps(content)


def example(schema: Mapping[str, Any], prompt: str) -> Any:
    """Return a value that a schema allows; texts are what the prompt quotes."""
    if "properties" in schema:
        return {name: example(of, prompt) for name, of in schema["properties"].items()}
    quoted = re.search("'(.+?)'", prompt)
    return EXAMPLES.get(str(schema.get("type")), quoted[1] if quoted else "a word")


@pytest.fixture(scope="module")
def vcr_config() -> dict[str, Any]:
    """Nothing is recorded: the server is on this machine."""
    return {"ignore_localhost": True}


# Half of the suite's files have no name; langchain-openai invents one, and says so.
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # measured with recordings
@pytest.mark.filterwarnings("ignore:OpenAI may require a filename")
class TestScripted(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True)
    def _served(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        def material(url: str, **_: Any) -> httpx.Response:
            return httpx.Response(200, content=url.encode())  # the suite would download it

        monkeypatch.setattr(httpx, "get", material)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "autoprovider")
        monkeypatch.setenv("CAPABLE_KEY", "capable-key-value")
        with FakeProvider(capable) as self.fake:
            yield

    @property
    def chat_model_class(self) -> type[AutoChatModel]:
        return AutoChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        takes = ["text", "image", "pdf", "audio"]
        entry = {"id": "m-1", "input": takes, "tools": True, "structured": True}
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
        told = ["audio_input", "audio_output", "reasoning_output", "cache_read_input"]
        return {"invoke": told, "stream": told}

    def _counted(self, *, stream: bool) -> AIMessage:
        model = AutoChatModel(**self.chat_model_params)
        if not stream:
            return model.invoke("Hello")
        whole = None
        for chunk in model.stream("Hello"):
            whole = chunk if whole is None else whole + chunk
        assert isinstance(whole, AIMessage)
        return whole

    def invoke_with_audio_input(self, *, stream: bool = False) -> AIMessage:
        return self._counted(stream=stream)

    def invoke_with_audio_output(self, *, stream: bool = False) -> AIMessage:
        return self._counted(stream=stream)

    def invoke_with_reasoning_output(self, *, stream: bool = False) -> AIMessage:
        return self._counted(stream=stream)

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        return self._counted(stream=stream)


class TestScriptedSchema(TestScripted):
    """The same where `with_structured_output` asks for a JSON schema."""

    @property
    def structured_output_kwargs(self) -> dict[str, Any]:
        return {"method": "json_schema"}
