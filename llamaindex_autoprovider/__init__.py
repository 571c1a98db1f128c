"""LlamaIndex on autoprovider's routes. Nothing is here yet: `AutoLLM` is still to come."""

__all__: list[str] = []
