"""LlamaIndex LLMs and embeddings that find their provider in the user's environment.

```python
from llama_index.core import Settings
from llamaindex_autoprovider import AutoEmbedding, AutoLLM

Settings.llm = AutoLLM("mixtral-8x7b")
Settings.embed_model = AutoEmbedding("text-embedding-3-small")
```
"""

try:
    import llama_index.core as _core  # noqa: F401 - an extra; said here, not by what imports it
except ImportError as error:
    from inference_providers.errors import MissingPackageError

    msg = "No package 'llama-index-core'; run `pip install 'autoprovider[llamaindex]'`"
    raise MissingPackageError(msg) from error

from llamaindex_autoprovider.embedding import AutoEmbedding
from llamaindex_autoprovider.llm import AutoLLM

__all__ = ["AutoEmbedding", "AutoLLM"]
