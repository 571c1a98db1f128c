"""Answers in the shape of a schema, whichever way the route that answers can be asked.

* `function_calling`, `json_schema` and `json_mode` ask every route the same way.
* `None` leaves it to the route: `shape` is bound, and `langchain_autoprovider.requests.tools`
  makes of it the best the route is known to do.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from langchain_core import exceptions
from langchain_core.output_parsers import (
    BaseCumulativeTransformOutputParser,
    BaseOutputParser,
    JsonOutputParser,
    PydanticOutputParser,
)
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.outputs import ChatGeneration
from langchain_core.runnables import RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_autoprovider.protocols.response_format import Method, response_format

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import Generation
    from langchain_core.runnables import Runnable

__all__ = ["answers", "asked", "parser_for"]


class AnswerParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses an answer that came as a tool call, or else as text; tells a refusal from both."""

    # Parsers, but a field of their type would have pydantic build them anew.
    of_call: Any
    of_text: Any

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return what the answer holds; `None` while a part of one holds nothing yet.

        Raises:
            OutputParserException: It does not fit the schema.
            ModelRefusalError: The model refused to give one.
        """
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        if message and (said := message.additional_kwargs.get("refusal")):
            raise _refusal(said, message)  # in a stream it comes whole, at the end
        is_call = bool(getattr(message, "tool_calls", None))
        chosen = self.of_call if is_call else self.of_text
        return chosen.parse_result(result, partial=partial)

    def parse(self, text: str) -> Any:
        """Parse an answer that is text."""
        return self.of_text.parse(text)


def asked(
    schema: dict[str, Any] | type, method: Method | None, *, strict: bool | None
) -> dict[str, Any]:
    """Return the request fields that ask for `schema`, in a neutral form."""
    spec = convert_to_json_schema(schema)
    noted = {"kwargs": {"method": method or "json_schema"}, "schema": spec}
    fields: dict[str, Any] = {"ls_structured_output_format": noted}
    if method is None:
        tool = convert_to_openai_tool(schema, strict=strict)
        return {**fields, "shape": {"schema": spec, "tool": tool, "strict": strict}}
    if method == "function_calling":
        tool = convert_to_openai_tool(schema, strict=strict)
        return {**fields, "tools": [tool], "tool_choice": tool["function"]["name"]}
    return {**fields, "response_format": response_format(spec, method, strict)}


def parser_for(schema: dict[str, Any] | type, method: Method | None) -> BaseOutputParser[Any]:
    """Return what makes an object of `schema` from an answer asked for with `method`."""
    of_call: BaseOutputParser[Any] = JsonOutputKeyToolsParser(
        key_name=convert_to_openai_tool(schema)["function"]["name"], first_tool_only=True
    )
    of_text: BaseOutputParser[Any] = JsonOutputParser()
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        of_call = PydanticToolsParser(tools=[schema], first_tool_only=True)
        of_text = PydanticOutputParser[Any](pydantic_object=schema)
    if method is None:
        return AnswerParser(of_call=of_call, of_text=of_text)
    parser = of_call if method == "function_calling" else of_text
    return AnswerParser(of_call=parser, of_text=parser)


def answers(
    model: Runnable[LanguageModelInput, Any], parser: BaseOutputParser[Any], *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return `model` with its answers parsed, and with `include_raw` beside them as they came."""
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _refusal(said: str, message: BaseMessage) -> Exception:
    """Return LangChain's error for a refusal, which its own parsers tell since 1.7.5."""
    kind = getattr(exceptions, "ModelRefusalError", None)
    if kind is None:  # langchain-core before 1.7.5
        return exceptions.OutputParserException(f"The model refused: {said}", llm_output=said)
    error: Exception = kind.from_refusal({"type": "refusal", "refusal": said}, raw_message=message)
    return error
