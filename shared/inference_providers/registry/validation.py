"""Rules for a registry beyond its types; above all, where keys may go.

* A base URL is https or on this machine. A server of kind `local` that takes no key may be
  anywhere, since it is in the user's own network.
* A key is read from a variable made for it. Variables of other services are refused, so
  that no file can send the secret of your cloud or database to a model host.
* What the registry below a file already reads for a provider needs no further permission.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inference_providers.credentials import UrlOrigin, secret_variable, template_variables
from inference_providers.registry.entries import entries_in
from inference_providers.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from inference_providers.types import Endpoint, Listing, Provider

__all__ = [
    "Complaint",
    "complaints",
    "declared_variables",
    "is_key_name",
    "name_complaints",
    "redacted_url",
    "variable_complaints",
]

Complaint = tuple[str, str]
"""A JSON path, and what is wrong there."""

_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*(?:KEY|TOKEN|PAT)", re.IGNORECASE)
_SECRET_NAME = re.compile(r".*(?:KEY|TOKEN|PAT|SECRET|PASSWORD|PASSWD|CREDENTIALS?)", re.IGNORECASE)
_OTHER_SERVICE_NAME = re.compile(
    r"(?:AWS|AMAZON|AZURE_(?:CLIENT|STORAGE|DEVOPS)|ARM|GOOGLE_APPLICATION|GCP|GCLOUD|TF|TERRAFORM"
    r"|GITHUB|GH|GITLAB|BITBUCKET|CI|ACTIONS|CIRCLE|JENKINS|TRAVIS|BUILDKITE|CODECOV|SONAR"
    r"|SSH|GPG|PGP|AGE|SOPS|VAULT|KUBE|K8S|DOCKER|HELM|REGISTRY|NPM|NODE|YARN|PYPI|TWINE|UV|PIP"
    r"|POETRY|CARGO|MAVEN|GRADLE|RUBYGEMS|HOMEBREW|DATABASE|DB|PG|POSTGRES|POSTGRESQL|MYSQL|MARIADB"
    r"|MONGO|MONGODB|REDIS|SQL|SQLALCHEMY|SUPABASE|FIREBASE|DJANGO|FLASK|RAILS|JWT|SESSION|SECRET"
    r"|STRIPE|PAYPAL|TWILIO|SENDGRID|MAILGUN|SMTP|SLACK|DISCORD|TELEGRAM|SENTRY|DATADOG|DD"
    r"|NEW_RELIC|GRAFANA|OTEL|HEROKU|NETLIFY|FLY|PULUMI|OP|BW)_.*",
    re.IGNORECASE,
)
_ALWAYS_READABLE = frozenset({"AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION"})
"""AWS variables made for Amazon's model host, or not secret."""
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*)?"
)
"""A base URL after its `{VARIABLES}` are filled in; a non-ASCII host is written `xn--…`."""
_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9._-]*")
_KEYS_FIELD = "auth.any_of"


def complaints(providers: Mapping[str, Provider]) -> Iterator[Complaint]:
    """Yield what is wrong with each provider row, seen alone."""
    for provider_id, provider in providers.items():
        path = f"$.providers.{provider_id}"
        if not _PROVIDER_ID.fullmatch(provider_id):
            yield path, "provider ids consist of lower-case letters, digits, '.', '_' and '-'"
        if not provider.auth.any_of:
            yield f"{path}.{_KEYS_FIELD}", "got no alternative, expected [[]] if no key is needed"
        for field, variable in _variables(provider):
            if not (variable.isascii() and variable.isidentifier()):
                yield f"{path}.{field}", f"got {_shown(variable)}, expected a variable's name"
        for name, endpoint in provider.endpoints.items():
            yield from _endpoint_complaints(f"{path}.endpoints.{name}", endpoint, provider)
        needs_default = provider.accepts_unlisted_models and "default" not in provider.endpoints
        if needs_default or not provider.endpoints:
            names = ", ".join(map(repr, provider.endpoints)) or "none"
            yield f"{path}.endpoints", f"got {names}, expected one named 'default'"
        yield from _model_complaints(f"{path}.models", provider.models, provider)
        yield from _model_complaints(f"{path}.embeddings", provider.embeddings, provider)


def _endpoint_complaints(path: str, endpoint: Endpoint, provider: Provider) -> Iterator[Complaint]:
    if expected := _expected_url(endpoint.base_url, provider):
        yield f"{path}.base_url", f"got {redacted_url(endpoint.base_url)!r}, expected {expected}"
    models_path = endpoint.models_path
    may_be_empty = provider.kind != "local"
    if not (models_path.startswith("/") or (may_be_empty and not models_path)):
        yield f"{path}.models_path", f"got {models_path!r}, expected a path that begins with '/'"


def _expected_url(url: str, provider: Provider) -> str | None:
    """Return what a base URL should be instead, or `None` if it may be used."""
    filled = re.sub(r"\{\w+\}", "1", url)  # a digit, because a variable may be a port
    origin = UrlOrigin.of(filled)
    if origin is None:
        return "an http(s) URL with a valid host and port"
    parts = urlsplit(filled)
    if parts.username is not None or parts.query or parts.fragment:
        return "a URL without user name, '?' and '#'"
    if not _URL.fullmatch(filled):
        return "an http(s) URL"
    is_keyless_server = provider.kind == "local" and provider.auth.any_of == ((),)
    if is_keyless_server or origin.is_secure:
        return None
    return "an https URL; http is for this machine, and for kind 'local' without a key"


def _model_complaints(
    path: str, models: Mapping[str, Listing], provider: Provider
) -> Iterator[Complaint]:
    endpoints = provider.endpoints
    for model, listing in models.items():
        if isinstance(listing, Model) and listing.endpoint in endpoints:  # the common case, first
            continue
        entries = entries_in(listing)
        if not entries:
            yield f"{path}.{model}", "got no entry, expected one; null removes a model"
        for entry in entries:
            if entry.endpoint not in endpoints:
                names = ", ".join(map(repr, endpoints))
                yield f"{path}.{model}", f"got endpoint {entry.endpoint!r}, expected one of {names}"


def name_complaints(providers: Mapping[str, Provider]) -> Iterator[Complaint]:
    """Yield model names and ids that cannot be typed, or that would control a terminal."""
    wrong = "is empty, or has surrounding whitespace or unprintable characters"
    for provider_id, provider in providers.items():
        for kind, models in (("models", provider.models), ("embeddings", provider.embeddings)):
            path = f"$.providers.{provider_id}.{kind}"
            for model, listing in models.items():
                if not _can_be_typed(model):
                    yield path, f"model name {model!r} {wrong}"
                for entry in entries_in(listing):
                    if not _can_be_typed(entry.id):
                        yield f"{path}.{model}", f"model id {entry.id!r} {wrong}"


def _can_be_typed(text: str) -> bool:
    return text.isprintable() and text != "" and text == text.strip()


def declared_variables(providers: Mapping[str, Provider]) -> dict[str, frozenset[str]]:
    """Return the variables each provider row reads: for keys, in its URLs, and for its address."""
    return {
        provider_id: frozenset(name for _, name in _variables(provider))
        for provider_id, provider in providers.items()
    }


def _variables(provider: Provider) -> Iterator[tuple[str, str]]:
    """Yield the variables a row reads, each after the field that names it."""
    for names in provider.auth.any_of:
        for name in names:
            yield _KEYS_FIELD, name
    for endpoint_name, endpoint in provider.endpoints.items():
        for name in template_variables(endpoint.base_url):
            yield f"endpoints.{endpoint_name}.base_url", name
        for name in endpoint.base_url_env:
            yield f"endpoints.{endpoint_name}.base_url_env", name


def variable_complaints(
    providers: Mapping[str, Provider], permitted: Mapping[str, frozenset[str]]
) -> Iterator[Complaint]:
    """Yield the variables that a row must not read, unless `permitted` lists them for that row."""
    for provider_id, provider in providers.items():
        variables = [*_variables(provider)]
        in_urls = {name for field, name in variables if field != _KEYS_FIELD}
        keys = {
            secret_variable(names, provider) for names in provider.auth.any_of if names
        } - in_urls
        readable = permitted.get(provider_id, frozenset()) | _ALWAYS_READABLE
        for field, name in variables:
            path = f"$.providers.{provider_id}.{field}"
            if name in readable:
                continue
            if _OTHER_SERVICE_NAME.fullmatch(name):
                expected = "a variable made for this provider; this one is another service's"
                yield path, f"got {_shown(name)}, expected {expected}"
            elif name in keys and not _KEY_NAME.fullmatch(name):
                expected = "a name that ends in KEY, TOKEN or PAT, such as OURS_API_KEY"
                yield path, f"got {_shown(name)}, expected {expected}"
            elif field != _KEYS_FIELD and _SECRET_NAME.fullmatch(name):
                yield path, f"got {{{name}}} in a URL, which must not contain a secret"


def _shown(variable: str) -> str:
    """Return a variable's name for a message; anything else may be a key and is hidden."""
    is_name = re.fullmatch("[A-Z][A-Z0-9_]*", variable)
    return repr(variable) if is_name else "a value that is not shown (it may be a key)"


def is_key_name(name: str) -> bool:
    """Whether a variable of this name may hold a model provider's key."""
    return bool(_KEY_NAME.fullmatch(name)) and not _OTHER_SERVICE_NAME.fullmatch(name)


def redacted_url(url: str) -> str:
    """Return a faulty URL for a message, without user name, password and query."""
    return re.sub(r"(?<=\?).*", "…", re.sub(r"(?<=//).*@", "…@", url))
