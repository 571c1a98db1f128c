"""Registry, routing and failover for language models, without a framework.

```python
from inference_providers import ProviderList

client, model_id = ProviderList().connect_to_model("mixtral-8x7b")
```
"""

from inference_providers.errors import (
    AllRoutesFailed,
    ConfigError,
    FetchError,
    InferenceProvidersError,
    InvalidResponseError,
    KeyBindingError,
    LocalServerError,
    MissingPackageError,
    NoRouteError,
    PromptTooLongError,
    RegistryError,
    StreamInterrupted,
    UnknownModelError,
    UpdateError,
)
from inference_providers.failover.state import health, reset_health
from inference_providers.model_names.canonical import canonical_name
from inference_providers.provider_list import ProviderList
from inference_providers.registry.registry import Registry
from inference_providers.types import Plan, Route, Skipped

__all__ = [
    "AllRoutesFailed",
    "ConfigError",
    "FetchError",
    "InferenceProvidersError",
    "InvalidResponseError",
    "KeyBindingError",
    "LocalServerError",
    "MissingPackageError",
    "NoRouteError",
    "Plan",
    "PromptTooLongError",
    "ProviderList",
    "Registry",
    "RegistryError",
    "Route",
    "Skipped",
    "StreamInterrupted",
    "UnknownModelError",
    "UpdateError",
    "canonical_name",
    "health",
    "reset_health",
]
