"""What a registry must keep to beyond its types; above all, where keys may go.

* A URL is https, or on this machine. A server of kind `local` that takes no key may be
  anywhere: it is the user's own network.
* A key is read from a variable that was made for it. Variables of other services are
  refused, so that no file sends your cloud's or your database's secret to a model host.
* What the registry underneath declares for a provider needs no second permission.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from inference_providers.credentials import in_braces, is_loopback, secret_of
from inference_providers.types import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    from inference_providers.types import Listing, Provider

__all__ = [
    "Complaint",
    "complaints",
    "declared",
    "is_key_name",
    "name_complaints",
    "parted",
    "variable_complaints",
    "without_secrets",
]

Complaint = tuple[str, str]
"""A JSON path, and what is wrong there."""

_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*(?:KEY|TOKEN|PAT)", re.IGNORECASE)
_SECRET_NAME = re.compile(r".*(?:KEY|TOKEN|PAT|SECRET|PASSWORD|PASSWD|CREDENTIALS?)", re.IGNORECASE)
_OTHERS = re.compile(
    r"(?:AWS|AMAZON|AZURE_(?:CLIENT|STORAGE|DEVOPS)|ARM|GOOGLE_APPLICATION|GCP|GCLOUD|TF|TERRAFORM"
    r"|GITHUB|GH|GITLAB|BITBUCKET|CI|ACTIONS|CIRCLE|JENKINS|TRAVIS|BUILDKITE|CODECOV|SONAR"
    r"|SSH|GPG|PGP|AGE|SOPS|VAULT|KUBE|K8S|DOCKER|HELM|REGISTRY|NPM|NODE|YARN|PYPI|TWINE|UV|PIP"
    r"|POETRY|CARGO|MAVEN|GRADLE|RUBYGEMS|HOMEBREW|DATABASE|DB|PG|POSTGRES|POSTGRESQL|MYSQL|MARIADB"
    r"|MONGO|MONGODB|REDIS|SQL|SQLALCHEMY|SUPABASE|FIREBASE|DJANGO|FLASK|RAILS|JWT|SESSION|SECRET"
    r"|STRIPE|PAYPAL|TWILIO|SENDGRID|MAILGUN|SMTP|SLACK|DISCORD|TELEGRAM|SENTRY|DATADOG|DD"
    r"|NEW_RELIC|GRAFANA|OTEL|HEROKU|NETLIFY|FLY|PULUMI|OP|BW)_.*",
    re.IGNORECASE,
)
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?(?:/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*)?"
)
"""A base URL, its `{VARIABLES}` filled in; a host's name beyond ASCII is written `xn--…`."""
_KEYS_AT = "auth.any_of"
_OURS_ALL_THE_SAME = frozenset({"AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_DEFAULT_REGION"})
"""Variables made for Amazon's model host, or not secret, although AWS names them."""


def complaints(providers: Mapping[str, Provider]) -> Iterator[Complaint]:
    """Yield what is wrong with provider rows, each by itself."""
    for provider_id, provider in providers.items():
        at = f"$.providers.{provider_id}"
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", provider_id):
            yield at, "a provider's id is made of lower-case letters, digits, '.', '_' and '-'"
        if not provider.auth.any_of:
            yield f"{at}.auth.any_of", "got no alternative, expected [[]] where no key is needed"
        for where, variable in _variables(provider):
            if not (variable.isascii() and variable.isidentifier()):
                yield f"{at}.{where}", f"got {_shown(variable)}, expected the name of a variable"
        for name, endpoint in provider.endpoints.items():
            where = f"{at}.endpoints.{name}"
            if wrong := _wrong_url(endpoint.base_url, provider):
                got = without_secrets(endpoint.base_url)
                yield f"{where}.base_url", f"got {got!r}, expected {wrong}"
            listed_at = endpoint.models_path
            if not listed_at.startswith("/") and (listed_at or provider.kind == "local"):
                yield f"{where}.models_path", f"got {listed_at!r}, expected '/…'"
        any_name = provider.takes_any_name and "default" not in provider.endpoints
        if any_name or not provider.endpoints:
            has = ", ".join(map(repr, provider.endpoints)) or "none"
            yield f"{at}.endpoints", f"got {has}, expected one named 'default'"
        yield from _model_complaints(f"{at}.models", provider.models, provider)
        yield from _model_complaints(f"{at}.embeddings", provider.embeddings, provider)


def _wrong_url(url: str, provider: Provider) -> str | None:
    plain = re.sub(r"\{\w+\}", "1", url)  # which may stand for a port, too
    parts = parted(plain)
    if parts is None:
        return "an http(s) URL, with a host and a port that there are"
    if parts.username is not None or parts.query or parts.fragment:
        return "a URL without user name, '?' and '#'"
    if not _URL.fullmatch(plain):
        return "an http(s) URL"
    is_own = provider.kind == "local" and provider.auth.any_of == ((),)
    if parts.scheme == "https" or is_loopback(parts.hostname or "") or is_own:
        return None
    return "an https URL; http is for this machine, and for kind 'local' without a key"


def _model_complaints(
    at: str, models: Mapping[str, Listing], provider: Provider
) -> Iterator[Complaint]:
    endpoints = provider.endpoints
    for model, listed in models.items():
        if isinstance(listed, Model) and listed.endpoint in endpoints:  # nearly all of them
            continue
        if listed == ():
            yield f"{at}.{model}", "got no entry, expected one; null takes a model out"
        for entry in listed if isinstance(listed, tuple) else (listed,):
            endpoint = entry.endpoint if isinstance(entry, Model) else "default"
            if endpoint not in endpoints:
                known = ", ".join(map(repr, endpoints))
                yield f"{at}.{model}", f"got endpoint {endpoint!r}, expected one of {known}"


def name_complaints(providers: Mapping[str, Provider]) -> Iterator[Complaint]:
    """Yield the names and ids of models that nobody can type, or that steer a terminal."""
    expected = "expected one that can be typed, without white space around it"
    for provider_id, provider in providers.items():
        for kind, models in (("models", provider.models), ("embeddings", provider.embeddings)):
            at = f"$.providers.{provider_id}.{kind}"
            for model, listed in models.items():
                if not _is_plain(model):
                    yield at, f"got the name {model!r}, {expected}"
                for entry in listed if isinstance(listed, tuple) else (listed,):
                    model_id = entry.id if isinstance(entry, Model) else entry
                    if not _is_plain(model_id):
                        yield f"{at}.{model}", f"got the id {model_id!r}, {expected}"


def _is_plain(text: str) -> bool:
    return text.isprintable() and text != "" and text == text.strip()


def declared(providers: Mapping[str, Provider]) -> dict[str, frozenset[str]]:
    """Return the variables each row reads: for keys, in its URLs, and for its address."""
    return {
        provider_id: frozenset(name for _, name in _variables(provider))
        for provider_id, provider in providers.items()
    }


def _variables(provider: Provider) -> Iterator[tuple[str, str]]:
    """Yield the variables a row reads, each with the field that names it."""
    for names in provider.auth.any_of:
        for name in names:
            yield _KEYS_AT, name
    for endpoint, row in provider.endpoints.items():
        for name in in_braces(row.base_url):
            yield f"endpoints.{endpoint}.base_url", name
        for name in row.base_url_env:
            yield f"endpoints.{endpoint}.base_url_env", name


def variable_complaints(
    providers: Mapping[str, Provider], permitted: Mapping[str, frozenset[str]]
) -> Iterator[Complaint]:
    """Yield the variables that no row may read, unless `permitted` has them for that row."""
    for provider_id, provider in providers.items():
        read = [*_variables(provider)]
        in_urls = {name for where, name in read if where != _KEYS_AT}
        keys = {secret_of(names, provider) for names in provider.auth.any_of if names} - in_urls
        may_read = permitted.get(provider_id, frozenset()) | _OURS_ALL_THE_SAME
        for where, name in read:
            at = f"$.providers.{provider_id}.{where}"
            if name in may_read:
                continue
            if _OTHERS.fullmatch(name):
                expected = "a variable made for this provider; that one is another service's"
                yield at, f"got {_shown(name)}, expected {expected}"
            elif name in keys and not _KEY_NAME.fullmatch(name):
                expected = "a name that ends in KEY, TOKEN or PAT, such as OURS_API_KEY"
                yield at, f"got {_shown(name)}, expected {expected}"
            elif where != _KEYS_AT and _SECRET_NAME.fullmatch(name):
                yield at, f"got {{{name}}} in a URL, where no secret belongs"


def _shown(variable: str) -> str:
    """Return a name as a message may show it: what is not in capitals may be a key itself."""
    plain = re.fullmatch("[A-Z][A-Z0-9_]*", variable)
    return repr(variable) if plain else "something not shown (it may be a key)"


def is_key_name(name: str) -> bool:
    """Tell whether a variable may hold a model provider's key, by its name."""
    return bool(_KEY_NAME.fullmatch(name)) and not _OTHERS.fullmatch(name)


def parted(url: str) -> SplitResult | None:
    """Return a URL's parts, or nothing where its host or its port is none."""
    try:
        parts = urlsplit(url)
        plain = parts.hostname and parts.port != 0  # a port is read only now
    except ValueError:
        return None
    return parts if plain else None


def without_secrets(url: str) -> str:
    """Return a URL that is wrong as a message may show it: a password may stand in it."""
    return re.sub(r"(?<=\?).*", "…", re.sub(r"(?<=//).*@", "…@", url))
