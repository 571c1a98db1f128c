"""Answers in the shape of a schema, whichever way the route that answers can be asked.

* `function_calling`, `json_schema` and `json_mode` ask every route the same way.
* `None` leaves it to the route: `shape` is bound, and `langchain_autoprovider.requests.tools`
  makes of it the best the route is known to do.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

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

if TYPE_CHECKING:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import Generation
    from langchain_core.runnables import Runnable

__all__ = ["Method", "answers", "asked", "neutral_format", "parser_for", "response_format"]

Method = Literal["function_calling", "json_schema", "json_mode"]


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


def response_format(
    spec: dict[str, Any],
    method: Method,
    strict: bool | None,  # noqa: FBT001
) -> dict[str, Any]:
    """Return OpenAI's field for a JSON schema; `json_mode` has it along for who can use it."""
    if method == "json_mode":
        # The schema is for providers that take it along; the others' routes leave it out.
        return {"type": "json_object", "schema": spec}
    if strict is not None:
        spec = convert_to_json_schema(spec, strict=strict)
    named = {"name": spec.get("title", "answer"), "schema": spec}
    return {
        "type": "json_schema",
        "json_schema": named if strict is None else {**named, "strict": strict},
    }


def neutral_format(given: Any) -> Any:
    """Return a request's `response_format` as OpenAI spells it; `None` asks for none.

    A class or a JSON schema may be given itself. Text is what comes unasked.
    """
    if isinstance(given, type) or (isinstance(given, dict) and "properties" in given):
        return response_format(convert_to_json_schema(given), "json_schema", None)
    return None if given == {"type": "text"} else given


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
