"""The keyword arguments of `AutoLLM` and `AutoEmbedding`, as type checkers and editors read them.

They are the arguments of the LangChain model underneath, and LlamaIndex's own.
`tests/test_constructors.py` compares the names with the classes' fields.
"""

from collections.abc import Callable, Sequence

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.rate_limiter import BaseRateLimiter
from llama_index.core.storage.kvstore.types import BaseKVStore
from llama_index.core.types import BaseOutputParser, PydanticProgramMode

from langchain_autoprovider.chat_models import AutoChatModel
from langchain_autoprovider.embeddings import AutoEmbeddings
from langchain_autoprovider.options import ChatOptions, EmbeddingsOptions

__all__ = ["UNDESCRIBED_FIELDS", "AutoEmbeddingOptions", "AutoLLMOptions"]


class AutoLLMOptions(ChatOptions, total=False):
    """The keyword arguments of `AutoLLM`."""

    chat_model: AutoChatModel
    system_prompt: str | None
    messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None
    completion_to_prompt: Callable[[str], str] | None
    output_parser: BaseOutputParser | None
    pydantic_program_mode: PydanticProgramMode
    query_wrapper_prompt: BasePromptTemplate | None
    callback_manager: CallbackManager | None
    rate_limiter: BaseRateLimiter | None


class AutoEmbeddingOptions(EmbeddingsOptions, total=False):
    """The keyword arguments of `AutoEmbedding`."""

    embeddings: AutoEmbeddings
    model_name: str | None
    embed_batch_size: int
    num_workers: int | None
    embeddings_cache: BaseKVStore | None
    callback_manager: CallbackManager | None
    rate_limiter: BaseRateLimiter | None


UNDESCRIBED_FIELDS = {
    "callback_manager": "Receives LlamaIndex's callback events.",
    "pydantic_program_mode": "How `structured_predict` obtains an object: by a function call, or\n"
    "by parsing text. By default a function call if the model supports tools.",
}
"""Descriptions of LlamaIndex's fields that have none."""
