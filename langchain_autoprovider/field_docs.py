"""Field descriptions from the strings below the fields, for `help()`, JSON schemas and editors.

pydantic's `use_attribute_docstrings` does the same, but before Python 3.13 it searches every
loaded module for the source of a class. Here that was a tenth of the time an import takes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["add_descriptions", "describe_fields"]

ModelT = TypeVar("ModelT", bound="BaseModel")


def describe_fields(cls: type[ModelT]) -> type[ModelT]:
    """Use the string below each field of a class as the field's description.

    The class must be at the top level of its module. Where the source is not installed, fields
    have no description.
    """
    for name, description in _strings_below_fields(cls).items():
        cls.model_fields[name].description = description
    return cls


def add_descriptions(cls: type[BaseModel], properties: dict[str, Any]) -> None:
    """Add the fields' descriptions to the properties of a JSON schema of the class.

    pydantic takes the others from its core schema, which is older than `describe_fields`.
    """
    for name, field in cls.model_fields.items():
        if name in properties and field.description:
            properties[name].setdefault("description", field.description)


def _strings_below_fields(cls: type[BaseModel]) -> dict[str, str]:
    try:
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    except OSError:
        return {}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    strings: dict[str, str] = {}
    for field, below in pairwise(classes[cls.__name__].body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                strings[name] = inspect.cleandoc(text)
    return {name: strings[name] for name in strings if name in cls.model_fields}
