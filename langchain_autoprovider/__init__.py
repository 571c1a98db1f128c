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

from langchain_autoprovider.chat_models import AutoChatModel
from langchain_autoprovider.embeddings import AutoEmbeddings

__all__ = ["AutoChatModel", "AutoEmbeddings"]
