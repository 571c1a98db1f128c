"""What type checkers accept and refuse in constructors; `make lint` runs mypy over it.

A refused line carries `type: ignore`. mypy reports one that suppresses nothing, so the check
fails as soon as such a mistake goes unnoticed.
"""

import os
from pathlib import Path
from typing import Any, Unpack

from langchain_core.caches import InMemoryCache
from llama_index.core.callbacks import CallbackManager
from pydantic import SecretStr

from inference_providers.registry.registry import Registry
from langchain_autoprovider import AutoChatModel, AutoEmbeddings
from langchain_autoprovider.options import ChatModelOptions, EmbeddingsOptions
from llamaindex_autoprovider import AutoEmbedding, AutoLLM
from llamaindex_autoprovider.options import AutoLLMOptions


def accepted() -> None:
    AutoChatModel()
    AutoChatModel("m")
    AutoChatModel(["m", "n"])
    AutoChatModel(("m", "n"), temperature=0)
    AutoChatModel(model="m", max_retries=3, timeout=None)
    AutoChatModel("m", stop=["END"], top_p=0.9, seed=1, max_tokens=10)
    AutoChatModel("m", stop_sequences="END", streaming=True)
    AutoChatModel("m", only="groq", exclude=["openai"], order=("a", "b"), sort="price")
    AutoChatModel("m", hedge_after="p95", sticky=True, fallback_on_content_filter=True)
    AutoChatModel("groq/m", api_key=os.environ.get("KEY"))
    AutoChatModel("m", api_keys={"groq": "k", "openai": SecretStr("k")})
    AutoChatModel("m", registry=Path("providers.json"))
    AutoChatModel("m", registry={"providers": {}}, cache=InMemoryCache(), tags=["t"])
    AutoChatModel("m", registry=Registry.load(), metadata={"a": 1}, name="n", verbose=True)
    AutoEmbeddings("m", dimensions=256, batch_size=8, on_trace=print, only="openai")
    AutoLLM()
    AutoLLM(["m", "n"], temperature=0, only="groq", system_prompt="Be brief.")
    AutoLLM(chat_model=AutoChatModel("m"), callback_manager=CallbackManager([]))
    AutoLLM("m", completion_to_prompt=str.strip, max_retries=1, hedge_after="p95")
    AutoEmbedding("m", embed_batch_size=8, num_workers=2, dimensions=256, only="openai")
    AutoEmbedding(model_name="m", embeddings=AutoEmbeddings("m"))


def refused() -> None:
    AutoChatModel("m", temprature=0)  # type: ignore[call-arg]
    AutoChatModel("m", temperature="0")  # type: ignore[arg-type]
    AutoChatModel("m", dimensions=8)  # type: ignore[call-arg]
    AutoChatModel("m", sort="cheapest")  # type: ignore[arg-type]
    AutoChatModel("m", only=1)  # type: ignore[arg-type]
    AutoChatModel("m", "n")  # type: ignore[call-arg]
    AutoEmbeddings("m", temperature=0)  # type: ignore[call-arg]
    AutoEmbeddings("m", batchsize=8)  # type: ignore[call-arg]
    AutoLLM("m", temprature=0)  # type: ignore[call-arg]
    AutoLLM("m", sytem_prompt="Be brief.")  # type: ignore[call-arg]
    AutoLLM("m", callbacks=[])  # type: ignore[call-arg]
    AutoLLM("m", temperature="0")  # type: ignore[arg-type]
    AutoEmbedding("m", temperature=0)  # type: ignore[call-arg]
    AutoEmbedding("m", embed_batch_size="8")  # type: ignore[arg-type]


def options_of(model: AutoChatModel, embeddings: AutoEmbeddings) -> tuple[Any, ...]:
    """Pass each field back as an option: its type must be one that the option accepts."""
    chat: ChatModelOptions = {
        "temperature": model.temperature,
        "max_tokens": model.max_tokens,
        "top_p": model.top_p,
        "seed": model.seed,
        "stop": model.stop,
        "timeout": model.timeout,
        "first_token_timeout": model.first_token_timeout,
        "inter_chunk_timeout": model.inter_chunk_timeout,
        "fallback_on_content_filter": model.fallback_on_content_filter,
        "sticky": model.sticky,
        "hedge_after": model.hedge_after,
        "streaming": model.streaming,
        "only": model.only,
        "exclude": model.exclude,
        "order": model.order,
        "sort": model.sort,
        "local": model.local,
        "max_attempts": model.max_attempts,
        "cooldown": model.cooldown,
        "registry": model.registry,
        "name": model.name,
        "cache": model.cache,
        "verbose": model.verbose,
        "callbacks": model.callbacks,
        "tags": model.tags,
        "metadata": model.metadata,
        "custom_get_token_ids": model.custom_get_token_ids,
        "rate_limiter": model.rate_limiter,
        "disable_streaming": model.disable_streaming,
        "output_version": model.output_version,
        "profile": model.profile,
    }
    vectors: EmbeddingsOptions = {
        "dimensions": embeddings.dimensions,
        "batch_size": embeddings.batch_size,
        "timeout": embeddings.timeout,
        "on_trace": embeddings.on_trace,
    }
    return chat, vectors


class WithField(AutoChatModel):
    """A subclass with a field of its own."""

    project: str = "default"


class WithInit(AutoChatModel):
    """A subclass with a constructor of its own."""

    def __init__(self, project: str, **options: Unpack[ChatModelOptions]) -> None:
        super().__init__(f"models/{project}", **options)


class LLMWithInit(AutoLLM):
    """A LlamaIndex subclass with a constructor of its own."""

    def __init__(self, project: str, **options: Unpack[AutoLLMOptions]) -> None:
        super().__init__(f"models/{project}", **options)


def subclasses() -> None:
    LLMWithInit("p", temperature=0)
    LLMWithInit("p", temprature=0)  # type: ignore[call-arg]
    WithField("m", project="p", only=["groq"], temperature=0)
    WithField("m", projekt="p")  # type: ignore[call-arg]
    WithInit("p", temperature=0)
    WithInit("p", temprature=0)  # type: ignore[call-arg]
