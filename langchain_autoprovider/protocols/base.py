"""A vendor's own chat model, asked in this project's neutral words.

Requests are spelled as OpenAI spells them until a route is tried. A class that stands
`RouteModel` before its vendor's says how its protocol spells them:

* `spellings`: what fields are called there;
* `absent`: fields that it does not know, which are left out;
* `_spelled`: whatever else differs; JSON of a schema is always asked for as such there;
* `_tool_choice`: how the choice of a tool is spelled; `None` leaves it out;
* `_takes_choice`: which choices there are; in place of `tool` only that tool is sent, of
  `any` it is `auto`, of `none` no tools are sent;
* `_with_tools`: how tools are bound, where the vendor's class does not do it well;
* `tool_extras`: what may stand beside a tool's name and schema there.

The registry's quirks are applied before that, in the neutral words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.language_models import BaseChatModel

from inference_providers.types import Quirks
from langchain_autoprovider.protocols.response_format import json_schema, response_format

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable

__all__ = ["RouteModel", "chosen"]

_OF_CALL = ("messages", "stop", "run_manager")
"""Arguments of a call that are no request fields; every class has them by these names."""

_CHOICES = {"required": "any", "True": "any", "False": None, "": None}


class RouteModel(BaseChatModel):
    """The chat model of one route; carries no request settings of its own."""

    quirks: Quirks = Quirks()

    spellings: ClassVar[Mapping[str, str]] = {}
    absent: ClassVar[frozenset[str]] = frozenset()
    tool_extras: ClassVar[frozenset[str]] = frozenset()

    def _spelled(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return request fields as the vendor's class takes them; may change `fields`."""
        return fields

    def _tool_choice(self, choice: str) -> Any:
        """Return `auto`, `any`, `none` or a tool's name as the vendor's class takes it."""
        return choice

    def _fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        of_call = {name: fields.pop(name) for name in _OF_CALL if name in fields}
        without = {*fields.pop("without", ()), *self.quirks.drop_params, *self.absent}
        names = {**self.spellings, **dict(self.quirks.rename_params)}
        kept = {names.get(n, n): value for n, value in fields.items() if n not in without}
        if schema := json_schema(kept.get("response_format")):  # in JSON mode, too
            kept["response_format"] = response_format(schema, "json_schema", None)
        refused = without.difference(fields)  # told by the provider, so in its own words
        spelled = self._spelled({n: value for n, value in kept.items() if n not in refused})
        return {**of_call, **spelled}

    def bind_tools(
        self, tools: Any, *args: Any, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools in OpenAI's form, and any form of `tool_choice` that is in use."""
        if "parallel_tool_calls" in self.absent or kwargs.get("parallel_tool_calls") is None:
            kwargs.pop("parallel_tool_calls", None)
        choice = chosen(kwargs.pop("tool_choice", None))
        tools, choice = self._chosen(tools, choice)
        if not tools:
            return self.bind(**kwargs)
        if choice is not None and (spelled := self._tool_choice(choice)) is not None:
            kwargs["tool_choice"] = spelled
        strict = {_function(tool).get("strict") for tool in tools}
        if strict == {True} and self.quirks.strict_tools and "strict" not in self.absent:
            kwargs["strict"] = True
        return self._with_tools(tools, *args, **kwargs)

    def _chosen(self, tools: Any, choice: str | None) -> tuple[Any, str | None]:
        """Return the tools to send and the choice, within what the protocol and quirks allow."""
        if choice not in {None, "auto", "any", "none"} and not (
            self._takes_choice("tool") and self.quirks.named_tool_choice
        ):
            tools, choice = [tool for tool in tools if _name(tool) == choice], "any"
        if choice not in {None, "auto", "none"} and not (
            (choice != "any" or self._takes_choice("any")) and self.quirks.forced_tool_choice
        ):
            choice = "auto"
        if choice == "auto" and not self._takes_choice("auto"):
            choice = None
        if choice == "none" and not self._takes_choice("none"):
            tools = []
        return tools, choice

    def _takes_choice(self, kind: str) -> bool:  # noqa: ARG002 - for those that do not take all
        """Say whether there is this choice: `auto`, `any`, `none`, or a named `tool`."""
        return True

    def _with_tools(
        self, tools: Any, *args: Any, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return super().bind_tools(tools, *args, **kwargs)

    def _generate(self, *args: Any, **fields: Any) -> ChatResult:
        # The vendor's class comes next, not the abstract base.
        return super()._generate(*args, **self._fields(fields))  # type: ignore[safe-super]

    async def _agenerate(self, *args: Any, **fields: Any) -> ChatResult:
        return await super()._agenerate(*args, **self._fields(fields))

    def _stream(self, *args: Any, **fields: Any) -> Iterator[ChatGenerationChunk]:
        return super()._stream(*args, **self._fields(fields))

    def _astream(self, *args: Any, **fields: Any) -> AsyncIterator[ChatGenerationChunk]:
        return super()._astream(*args, **self._fields(fields))


def chosen(tool_choice: Any) -> str | None:
    """Return `auto`, `any`, `none` or a tool's name, whichever way it was said."""
    if isinstance(tool_choice, dict):
        named = tool_choice.get("function", tool_choice).get("name")
        tool_choice = named or tool_choice.get("type")
    if tool_choice is None:
        return None
    said = str(tool_choice)
    return _CHOICES.get(said, said)


def _function(tool: Any) -> dict[str, Any]:
    found = tool.get("function") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else {}


def _name(tool: Any) -> Any:
    return _function(tool).get("name")
