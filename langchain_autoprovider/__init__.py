"""LangChain chat models and embeddings whose provider the environment decides.

```python
from langchain_autoprovider import AutoChatModel

AutoChatModel("mixtral-8x7b").invoke("Hello")
```
"""

try:
    from inference_providers import Plan as _Plan  # noqa: F401 - the original project has no Plan
except ImportError as error:
    msg = (
        "The original distribution 'inference-providers' has overwritten autoprovider's core."
        " To fix this, run: pip uninstall inference-providers"
        " && pip install --force-reinstall --no-deps autoprovider"
    )
    raise ImportError(msg) from error

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_autoprovider.chat_models import AutoChatModel
    from langchain_autoprovider.embeddings import AutoEmbeddings

__all__ = ["AutoChatModel", "AutoEmbeddings"]

_MODULES = {"AutoChatModel": "chat_models", "AutoEmbeddings": "embeddings"}


def __getattr__(name: str) -> Any:
    """Import a class when it is first asked for: most programs use one of them."""
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(_import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
