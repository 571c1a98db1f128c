"""The translation of neutral requests for a vendor's own chat model class.

A request stays in OpenAI's form until a route is tried. The class of a protocol derives from
`RouteModel` and then from the vendor's class, and declares how the vendor's class differs:

* `param_aliases`: parameters that have another name there.
* `unsupported_params`: parameters to leave out.
* `tool_extras`: keys that a tool may have besides its name and schema.
* `_translate_params`: any other difference. It receives every JSON schema as `json_schema`, even if
  the request was for JSON mode.
* `_translate_tool_choice`: the tool choice; `None` leaves it out.
* `_has_tool_choice`: which choices exist. Without `tool`, only the named tool is sent, with the
  choice `any`; without `any`, the choice is `auto`; without `none`, no tools are sent.
* `_bind_translated_tools`: how tools are bound, where the vendor's class gets it wrong.

The provider's quirks have already been applied to the neutral request (`quirks.apply_quirks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk

from langchain_autoprovider.protocols.response_format import json_schema, response_format
from langchain_autoprovider.protocols.tool_choice import limit_tool_choice, normalize_tool_choice

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import Runnable

    from langchain_autoprovider.protocols.tool_choice import ChoiceKind

__all__ = ["Params", "RouteModel", "message_chunk", "token_usage"]

Params = dict[str, Any]
"""Request parameters by name: the keyword arguments of a chat model's call."""

_CALL_ARGUMENTS = ("messages", "stop", "run_manager")
"""Arguments of `_generate` and `_stream` that are not request parameters."""


class RouteModel(BaseChatModel):
    """The chat model of one route; it has no request settings of its own."""

    param_aliases: ClassVar[Mapping[str, str]] = {}
    unsupported_params: ClassVar[frozenset[str]] = frozenset()
    tool_extras: ClassVar[frozenset[str]] = frozenset()

    def _translate_params(self, params: Params) -> Params:
        """Return parameters as the vendor's class expects them; may modify `params`."""
        return params

    def _translate_tool_choice(self, choice: str) -> Any:
        """Return `auto`, `any`, `none` or a tool's name as the vendor's class expects it."""
        return choice

    def _has_tool_choice(self, kind: ChoiceKind) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the protocol has this kind of tool choice."""
        return True

    def _bind_translated_tools(
        self, tools: list[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return super().bind_tools(tools, **kwargs)

    def bind_tools(
        self, tools: Sequence[Any], tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools in OpenAI's form, with `tool_choice` in any form."""
        if (
            kwargs.get("parallel_tool_calls") is None
            or "parallel_tool_calls" in self.unsupported_params
        ):
            kwargs.pop("parallel_tool_calls", None)
        tools, choice = limit_tool_choice(
            list(tools), normalize_tool_choice(tool_choice), self._has_tool_choice
        )
        if not tools:
            return self.bind(**kwargs)
        if choice is not None:
            translated = self._translate_tool_choice(choice)
            if translated is not None:
                kwargs["tool_choice"] = translated
        if "strict" not in self.unsupported_params and all(map(_is_strict, tools)):
            kwargs["strict"] = True
        return self._bind_translated_tools(tools, **kwargs)

    def _translate(self, arguments: Params) -> Params:
        """Return the arguments of a call with its request parameters translated.

        `without` lists parameters that the provider rejected earlier, under its own name or
        OpenAI's; both are left out.
        """
        call = {name: arguments[name] for name in _CALL_ARGUMENTS if name in arguments}
        rejected = frozenset(arguments.get("without", ()))
        dropped = {*_CALL_ARGUMENTS, "without", *rejected, *self.unsupported_params}
        params = {
            self.param_aliases.get(name, name): value
            for name, value in arguments.items()
            if name not in dropped
        }
        params = {name: value for name, value in params.items() if name not in rejected}
        if schema := json_schema(params.get("response_format")):
            params["response_format"] = response_format(schema, "json_schema", None)
        return {**call, **self._translate_params(params)}

    # `super()` is the vendor's class, not the abstract base.

    def _generate(self, *args: Any, **arguments: Any) -> ChatResult:
        return super()._generate(*args, **self._translate(arguments))  # type: ignore[safe-super]

    async def _agenerate(self, *args: Any, **arguments: Any) -> ChatResult:
        return await super()._agenerate(*args, **self._translate(arguments))

    def _stream(self, *args: Any, **arguments: Any) -> Iterator[ChatGenerationChunk]:
        return super()._stream(*args, **self._translate(arguments))

    def _astream(self, *args: Any, **arguments: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super()._astream(*args, **self._translate(arguments))


def message_chunk(**message: Any) -> ChatGenerationChunk:
    """Return a stream chunk; the keywords are the fields of its message."""
    return ChatGenerationChunk(message=AIMessageChunk(**message))


def token_usage(prompt: int, answer: int) -> UsageMetadata:
    """Return the numbers of tokens in LangChain's form."""
    return UsageMetadata(input_tokens=prompt, output_tokens=answer, total_tokens=prompt + answer)


def _is_strict(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and function.get("strict") is True
