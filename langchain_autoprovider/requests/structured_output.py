"""Structured output: request fields that ask for a schema, and parsers of the answers.

* The methods `function_calling`, `json_schema` and `json_mode` send every route the same fields.
* Without a method, the request has the field `answer_schema`. When a route is tried,
  `langchain_autoprovider.requests.tools` replaces it with the best method the route supports.
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

__all__ = ["parse_with", "parser_for", "structured_output_fields"]


class StructuredOutputParser(BaseCumulativeTransformOutputParser[Any]):
    """Parses an answer that is a tool call or text; raises an error for a refusal."""

    # pydantic would copy them if they were typed as parsers.
    tool_call_parser: Any
    text_parser: Any

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """Return the parsed answer, or `None` while a partial answer has nothing to parse yet.

        Raises:
            OutputParserException: The answer does not match the schema.
            ModelRefusalError: The model refused to answer.
        """
        message = result[0].message if isinstance(result[0], ChatGeneration) else None
        if message and (refusal := message.additional_kwargs.get("refusal")):
            raise _refusal_error(refusal, message)  # complete: a stream delivers it at its end
        is_tool_call = bool(getattr(message, "tool_calls", None))
        parser = self.tool_call_parser if is_tool_call else self.text_parser
        return parser.parse_result(result, partial=partial)

    def parse(self, text: str) -> Any:
        """Parse an answer that is text."""
        return self.text_parser.parse(text)


def structured_output_fields(
    schema: dict[str, Any] | type, method: Method | None, *, strict: bool | None
) -> dict[str, Any]:
    """Return the request fields that ask for `schema`, in OpenAI's form."""
    json_schema = convert_to_json_schema(schema)
    fields: dict[str, Any] = {
        "ls_structured_output_format": {  # for LangSmith
            "kwargs": {"method": method or "json_schema"},
            "schema": json_schema,
        }
    }
    if method is None:
        tool = convert_to_openai_tool(schema, strict=strict)
        fields["answer_schema"] = {"schema": json_schema, "tool": tool, "strict": strict}
    elif method == "function_calling":
        tool = convert_to_openai_tool(schema, strict=strict)
        fields.update(tools=[tool], tool_choice=tool["function"]["name"])
    else:
        fields["response_format"] = response_format(json_schema, method, strict)
    return fields


def parser_for(schema: dict[str, Any] | type, method: Method | None) -> BaseOutputParser[Any]:
    """Return the parser of answers to a request for `schema` with `method`."""
    tool_call_parser: BaseOutputParser[Any]
    text_parser: BaseOutputParser[Any]
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        tool_call_parser = PydanticToolsParser(tools=[schema], first_tool_only=True)
        text_parser = PydanticOutputParser[Any](pydantic_object=schema)
    else:
        tool_name = convert_to_openai_tool(schema)["function"]["name"]
        tool_call_parser = JsonOutputKeyToolsParser(key_name=tool_name, first_tool_only=True)
        text_parser = JsonOutputParser()
    if method == "function_calling":
        text_parser = tool_call_parser
    elif method is not None:
        tool_call_parser = text_parser
    return StructuredOutputParser(tool_call_parser=tool_call_parser, text_parser=text_parser)


def parse_with(
    parser: BaseOutputParser[Any], model: Runnable[LanguageModelInput, Any], *, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """Return `model` followed by `parser`.

    With `include_raw`, the runnable returns `raw`, `parsed` and `parsing_error` instead of raising
    an error for an answer that does not parse.
    """
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _refusal_error(refusal: str, message: BaseMessage) -> Exception:
    """Return the error that LangChain's own parsers raise for a refusal since 1.7.5."""
    kind = getattr(exceptions, "ModelRefusalError", None)
    if kind is None:  # langchain-core before 1.7.5
        return exceptions.OutputParserException(
            f"The model refused to answer: {refusal}", llm_output=refusal
        )
    error: Exception = kind.from_refusal(
        {"type": "refusal", "refusal": refusal}, raw_message=message
    )
    return error
