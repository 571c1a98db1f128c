"""`python -m inference_providers.cli`."""

from inference_providers.cli import main

__all__: list[str] = []

main()
