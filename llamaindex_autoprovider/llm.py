"""`AutoLLM`: LlamaIndex's function-calling LLM that any provider with a key may serve."""

from __future__ import annotations

import inspect
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from llama_index.core.base.llms.generic_utils import (
    astream_chat_response_to_completion_response,
    chat_response_to_completion_response,
    stream_chat_response_to_completion_response,
)
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import Field

from inference_providers.routing import event_loop
from langchain_autoprovider.chat_models import AutoChatModel
from langchain_autoprovider.options import ModelNames
from llamaindex_autoprovider.metadata import metadata_of
from llamaindex_autoprovider.options import AutoLLMOptions
from llamaindex_autoprovider.requests import langchain_request
from llamaindex_autoprovider.responses import (
    StreamedResponse,
    arguments_of,
    chat_response,
    partial_answer_as_chat_message,
    tool_calls_of,
)
from llamaindex_autoprovider.routed_component import RoutedComponent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llama_index.core.base.llms.types import (
        ChatResponseAsyncGen,
        ChatResponseGen,
        CompletionResponse,
        CompletionResponseAsyncGen,
        CompletionResponseGen,
        LLMMetadata,
    )
    from llama_index.core.tools.types import BaseTool

__all__ = ["AutoLLM"]


class AutoLLM(RoutedComponent, FunctionCallingLLM):
    """An LLM chosen by model name, served by any provider that a key is set for.

    Accepts the arguments of `AutoChatModel` and those of LlamaIndex's LLMs. Routes, failover
    and cooldowns are those of `AutoChatModel`, and shared with every one in the process.

    ```python
    Settings.llm = AutoLLM("mixtral-8x7b", temperature=0)
    Settings.llm.explain()  # who would serve it, who would not, and why
    Settings.llm.complete("Hello").additional_kwargs["autoprovider"]["provider"]
    ```

    Settings read as attributes but cannot be assigned; `model_copy(update=...)` returns a
    changed copy. A stream that breaks off after its first output raises `StreamInterrupted`,
    whose `partial` is a `ChatMessage`.

    Raises:
        UnknownModelError: A name is unknown or retired; the message suggests similar ones.
        ConfigError: A provider id or a key is invalid, or an argument belongs to LangChain.
        RegistryError: The registry file is invalid.
    """

    model_field: ClassVar[str] = "chat_model"

    chat_model: AutoChatModel = Field(exclude=True, repr=False)
    """An existing `AutoChatModel` to use instead of settings. Its LangChain callbacks, caches
    and tracers are not used."""

    def __init__(self, model: ModelNames = None, **options: Unpack[AutoLLMOptions]) -> None:
        arguments: Any = options
        super().__init__(model, **arguments)

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes into dumps."""
        return "AutoLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The facts that hold for every route that may serve a call now.

        LlamaIndex reads this several times per call, also in event loops, so servers on this
        machine are looked for only if nothing else can serve, and never in an event loop.
        """
        chat_model = self.chat_model
        plan = chat_model.plan_offline()
        if not (plan.routes or plan.cooling_down or event_loop.is_running()):
            plan = chat_model.explain()
        return metadata_of(plan, model_name=chat_model.model_name, max_tokens=chat_model.max_tokens)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages; `kwargs` are request fields, such as `stop` or `tools`."""
        return self._chat(messages, kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt, sent as one user message."""
        return chat_response_to_completion_response(
            self._chat(self._prompt_as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Stream an answer: each response holds all text so far, and the new text as `delta`.

        New reasoning is in `additional_kwargs["thinking_delta"]`. The last response carries
        the trace and the token counts.
        """
        return self._stream_chat(messages, kwargs)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Stream the answer to a prompt, sent as one user message."""
        return stream_chat_response_to_completion_response(
            self._stream_chat(self._prompt_as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages; `kwargs` are request fields, such as `stop` or `tools`."""
        return await self._achat(messages, kwargs)

    @llm_completion_callback()
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponse:
        """Answer a prompt, sent as one user message."""
        return chat_response_to_completion_response(
            await self._achat(self._prompt_as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Stream an answer, as `stream_chat` does."""
        return self._astream_chat(messages, kwargs)

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Stream the answer to a prompt, sent as one user message."""
        return astream_chat_response_to_completion_response(
            self._astream_chat(self._prompt_as_messages(prompt, formatted), kwargs)
        )

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """Return the tool calls of an answer, or of a streamed part of one.

        Raises:
            ValueError: There is no call, and `error_on_no_tool_call` is set.
            InvalidResponseError: The arguments of a call are not a JSON object. LlamaIndex
                would run the tool without arguments.
        """
        calls = tool_calls_of(response.message)
        if error_on_no_tool_call and not calls:
            msg = f"Expected at least one tool call, got the text {response.message.content!r}"
            raise ValueError(msg)
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=arguments_of(call),
            )
            for call in calls
        ]

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: str | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or ())
        if user_msg is not None:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        request = {
            **kwargs,
            "messages": messages,
            "allow_parallel_tool_calls": allow_parallel_tool_calls,
        }
        if tools:
            request["tools"] = [
                tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools
            ]
            choice = tool_choice or ("any" if tool_required else None)
            if choice is not None:
                request["tool_choice"] = choice
        return request

    def _prompt_as_messages(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        if self.completion_to_prompt and not formatted:
            prompt = self.completion_to_prompt(prompt)
        return [ChatMessage(prompt)]

    # `_generate` and `_stream` are LangChain's contract for chat models. `invoke` and `stream`
    # would also report to LangChain's tracers, answer from its cache, and count every token
    # twice when a LlamaIndex program runs inside a LangChain one.

    def _chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        request = langchain_request(messages, kwargs)
        result = self.chat_model._generate(  # noqa: SLF001 - see above
            request.messages, request.stop, None, **request.fields
        )
        return chat_response(result, single_call=request.single_call)

    async def _achat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        request = langchain_request(messages, kwargs)
        result = await self.chat_model._agenerate(  # noqa: SLF001
            request.messages, request.stop, None, **request.fields
        )
        return chat_response(result, single_call=request.single_call)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> ChatResponseGen:
        request = langchain_request(messages, kwargs)
        response = StreamedResponse(single_call=request.single_call)
        chunks = self.chat_model._stream(  # noqa: SLF001
            request.messages, request.stop, None, **request.fields
        )
        with partial_answer_as_chat_message(), closing(chunks):
            for chunk in chunks:
                yield response.add(chunk)

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> ChatResponseAsyncGen:
        request = langchain_request(messages, kwargs)
        response = StreamedResponse(single_call=request.single_call)
        chunks = self.chat_model._astream(  # noqa: SLF001
            request.messages, request.stop, None, **request.fields
        )
        with partial_answer_as_chat_message():
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield response.add(chunk)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        yield from super().__repr_args__()
        if self.system_prompt is not None:
            yield "system_prompt", self.system_prompt


# LlamaIndex asks for the signature in each call, and computing one takes twice as long as a plan.
for _name in ("chat", "complete", "stream_chat", "stream_complete"):
    for _method in (getattr(AutoLLM, _name), getattr(AutoLLM, f"a{_name}")):
        _method.__wrapped__.__signature__ = inspect.signature(_method.__wrapped__)
