"""LlamaIndex LLMs that find their provider in the user's environment.

```python
from llama_index.core import Settings
from llamaindex_autoprovider import AutoLLM

Settings.llm = AutoLLM("mixtral-8x7b")
```
"""

try:
    import llama_index.core as _core  # noqa: F401 - an extra; said here, not by what imports it
except ImportError as error:
    from inference_providers.errors import MissingPackageError

    msg = "No package 'llama-index-core'; run `pip install 'autoprovider[llamaindex]'`"
    raise MissingPackageError(msg) from error

from llamaindex_autoprovider.llm import AutoLLM

__all__ = ["AutoLLM"]
