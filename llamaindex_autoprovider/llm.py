"""`AutoLLM`: LlamaIndex's function calling LLM on `AutoChatModel`'s routes."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, ClassVar

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

from langchain_autoprovider import AutoChatModel  # noqa: TC001 - pydantic reads annotations at run time
from llamaindex_autoprovider.delegate import Standing
from llamaindex_autoprovider.exchange import (
    Exchange,
    arguments_of,
    calls_of,
    in_llamaindexs_terms,
)
from llamaindex_autoprovider.metadata import metadata_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.outputs import ChatGenerationChunk
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


class AutoLLM(Standing, FunctionCallingLLM):
    """A LLM that is named, and served by whichever provider holds a key.

    MessageFormat what `AutoChatModel` takes, and stands on one: the same routes, failover and
    health, shared with every `AutoChatModel` of the process. Further arguments are
    LlamaIndex's own: `system_prompt`, `callback_manager`, `rate_limiter` and the like.

    ```python
    Settings.llm = AutoLLM("mixtral-8x7b", temperature=0)
    Settings.llm.explain()              # who would serve, who would not, and why
    Settings.llm.complete("Hello").additional_kwargs["autoprovider"]["provider"]
    ```

    A stream that breaks after its first output raises `StreamInterrupted`, whose
    `partial` is a `ChatMessage`. Settings read as attributes, and cannot be changed;
    `model_copy(update=...)` makes another one.

    Raises:
        UnknownModelError: A name is unknown or retired; says what is near.
        ConfigError: A provider id or a given key cannot be right, or an argument is
            LangChain's own.
        RegistryError: The registry file is not what it should be.
    """

    stands_on: ClassVar[str] = "chat_model"

    chat_model: AutoChatModel = Field(exclude=True, repr=False)
    """What asks the routes. LangChain's callbacks, caches and tracers do not see it."""

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex writes down."""
        return "AutoLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """What holds for all routes that could serve now; see `facts.metadata_of`."""
        chat = self.chat_model
        return metadata_of(chat.explain(), chat.model_name, chat.max_tokens)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages. `kwargs` are request fields, such as `stop` or `tools`."""
        return self._chat(messages, kwargs)

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt, as `chat` does one message of a user."""
        return chat_response_to_completion_response(
            self._chat(self._as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Answer messages as it comes; each response holds all so far, and what is new.

        The last one carries the trace and the tokens. New thoughts are in
        `additional_kwargs["thinking_delta"]`.
        """
        return self._stream_chat(messages, kwargs)

    @llm_completion_callback()
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Answer a prompt as it comes, as `stream_chat` does one message of a user."""
        return stream_chat_response_to_completion_response(
            self._stream_chat(self._as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Answer messages, as `chat` does."""
        return await self._achat(messages, kwargs)

    @llm_completion_callback()
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponse:
        """Answer a prompt, as `complete` does."""
        return chat_response_to_completion_response(
            await self._achat(self._as_messages(prompt, formatted), kwargs)
        )

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Answer messages as it comes, as `stream_chat` does."""
        return self._astream_chat(messages, kwargs)

    @llm_completion_callback()
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Answer a prompt as it comes, as `stream_complete` does."""
        return astream_chat_response_to_completion_response(
            self._astream_chat(self._as_messages(prompt, formatted), kwargs)
        )

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,
    ) -> list[ToolSelection]:
        """Return the tool calls of an answer, or of what has come of it.

        Raises:
            ValueError: There is none, and there should be.
            InvalidResponseError: A call's arguments are no JSON object. Without them the
                tool would run on its defaults.
        """
        calls = calls_of(response.message)
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
            said = ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg
            messages.append(said)
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

    def _as_messages(self, prompt: str, formatted: bool) -> list[ChatMessage]:
        wrap = None if formatted else self.completion_to_prompt
        whole = wrap(prompt) if wrap else prompt
        return [ChatMessage(whole)]

    # The chat model's `_generate` and `_stream` are called, not `invoke` and `stream`: those
    # would report to LangChain's tracers, answer from its cache, and count every token again
    # when a LlamaIndex program runs inside a LangChain one.

    def _chat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        asked = Exchange.of(messages, kwargs)
        result = self.chat_model._generate(asked.messages, asked.stop, None, **asked.fields)
        return asked.whole(result)

    async def _achat(self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]) -> ChatResponse:
        asked = Exchange.of(messages, kwargs)
        result = await self.chat_model._agenerate(asked.messages, asked.stop, None, **asked.fields)
        return asked.whole(result)

    def _stream_chat(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> ChatResponseGen:
        asked = Exchange.of(messages, kwargs)
        so_far: ChatGenerationChunk | None = None
        chunks = self.chat_model._stream(asked.messages, asked.stop, None, **asked.fields)
        with in_llamaindexs_terms(), closing(chunks):
            for chunk in chunks:
                so_far = chunk if so_far is None else so_far + chunk
                yield asked.part(so_far, chunk)

    async def _astream_chat(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any]
    ) -> ChatResponseAsyncGen:
        asked = Exchange.of(messages, kwargs)
        so_far: ChatGenerationChunk | None = None
        chunks = self.chat_model._astream(asked.messages, asked.stop, None, **asked.fields)
        with in_llamaindexs_terms():
            async with aclosing(chunks):
                async for chunk in chunks:
                    so_far = chunk if so_far is None else so_far + chunk
                    yield asked.part(so_far, chunk)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        yield from super().__repr_args__()
        if self.system_prompt is not None:
            yield "system_prompt", self.system_prompt
