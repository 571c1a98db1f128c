"""LlamaIndex LLMs and embeddings, served by the providers that the environment has keys for.

```python
from llama_index.core import Settings
from llamaindex_autoprovider import AutoEmbedding, AutoLLM

Settings.llm = AutoLLM("mixtral-8x7b")
Settings.embed_model = AutoEmbedding("text-embedding-3-small")
```
"""

try:
    import llama_index.core as _core  # noqa: F401 - an optional dependency
except ImportError as error:
    from inference_providers.errors import MissingPackageError

    msg = "Package 'llama-index-core' is missing; run `pip install 'autoprovider[llamaindex]'`"
    raise MissingPackageError(msg) from error

from llamaindex_autoprovider.embedding import AutoEmbedding
from llamaindex_autoprovider.llm import AutoLLM

__all__ = ["AutoEmbedding", "AutoLLM"]
