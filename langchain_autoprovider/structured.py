"""Answers in the shape of a JSON schema, asked for through `response_format`."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.runnables import Runnable

__all__ = ["JsonMethod", "structured_output"]

JsonMethod = Literal["json_schema", "json_mode"]


def structured_output(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    method: JsonMethod,
    include_raw: bool,
    strict: bool | None,
) -> Runnable[LanguageModelInput, Any]:
    """Return `model` asked for JSON in the shape of `schema`, with the answer parsed."""
    spec = convert_to_json_schema(schema, strict=strict)
    asked = model.bind(
        response_format=_response_format(spec, method, strict),
        ls_structured_output_format={"kwargs": {"method": method}, "schema": spec},
    )
    parser: Runnable[Any, Any] = JsonOutputParser()
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        parser = PydanticOutputParser[Any](pydantic_object=schema)
    if not include_raw:
        return asked | parser
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | parser, parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=asked) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _response_format(
    spec: dict[str, Any],
    method: JsonMethod,
    strict: bool | None,  # noqa: FBT001
) -> dict[str, Any]:
    if method == "json_mode":
        # The schema is for providers that take it along; the others' routes leave it out.
        return {"type": "json_object", "schema": spec}
    named = {"name": spec.get("title", "answer"), "schema": spec}
    return {
        "type": "json_schema",
        "json_schema": named if strict is None else {**named, "strict": strict},
    }
