"""API keys: where they come from, and where they may go.

* This is the only module that reads the environment.
* A key belongs to the origins of its provider's base URLs: scheme, host and port. It is sent to no
  other origin, and only over TLS or on this machine. `UrlOrigin` is the one place for that rule;
  registry validation, updates, discovery and the HTTP hooks use it.
* A key masks itself wherever it is printed, and cannot be pickled. Models hold the names of
  variables, and the values are looked up in the process that makes the call.
* Values are read on use, so a key may be set after a model was created.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

from inference_providers.errors import ConfigError, KeyBindingError
from inference_providers.scrubbing.exceptions import scrub_exception
from inference_providers.scrubbing.texts import TextScrubber

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_providers.types import Provider

__all__ = ["Key", "Keys", "UrlOrigin", "is_loopback", "secret_variable", "template_variables"]

E = TypeVar("E", bound=BaseException)

_FINGERPRINT_KEY = secrets.token_bytes(16)
_MASK = "**********"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9._-]+(?::\d+)?|\[[0-9a-f:]+\](?::\d+)?")


class UrlOrigin(NamedTuple):
    """Scheme, host and port of a URL, as in RFC 6454; the default port is filled in."""

    scheme: str
    host: str
    port: int | None

    @staticmethod
    @lru_cache(maxsize=1024)
    def of(url: str) -> UrlOrigin | None:
        """Return the origin of `url`, or `None` if it has no valid host and port."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if not parts.hostname or port == 0:
            return None
        return UrlOrigin(parts.scheme, parts.hostname, port or _DEFAULT_PORTS.get(parts.scheme))

    @property
    def is_loopback(self) -> bool:
        """Whether the host can only be this machine."""
        return is_loopback(self.host)

    @property
    def is_secure(self) -> bool:
        """Whether a third party cannot read what is sent there: https, or this machine."""
        return self.scheme == "https" or self.is_loopback

    def __str__(self) -> str:
        """Return host and port; the scheme and its default port are left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Key:
    """A secret that is sent to its own origins only, and is never shown.

    Args:
        variable: The environment variable it came from, for messages.
        value: The secret.
        urls: The URLs whose origins it belongs to.

    Attributes:
        fingerprint: Distinguishes two values without revealing them; differs per process.
    """

    __slots__ = ("_origins", "_scrubber", "_value", "fingerprint", "variable")

    def __init__(self, variable: str, value: str, urls: Iterable[str]) -> None:
        self.variable = variable
        self._value = value
        self._scrubber: TextScrubber | None = None  # most keys are never echoed
        self._origins = frozenset(filter(None, map(UrlOrigin.of, urls)))
        self.fingerprint = _fingerprint(value)

    def bound_to(self, urls: Iterable[str]) -> Key:
        """Return the same key for the origins of other URLs."""
        return Key(self.variable, self._value, urls)

    def value_for(self, url: str) -> str:
        """Return the value, to be sent to `url`.

        Raises:
            KeyBindingError: `url` has another origin than the key, or is not encrypted.
        """
        origin = UrlOrigin.of(url)
        if origin not in self._origins or not origin.is_secure:
            raise KeyBindingError(self._refusal(origin))
        return self._value

    def _refusal(self, origin: UrlOrigin | None) -> str:
        hosts = {allowed.host for allowed in self._origins}
        is_same_host = origin is not None and origin.host in hosts
        if origin and is_same_host and not origin.is_secure:
            return f"{self.variable} is not sent to {origin.host!r} unencrypted; use an https URL"
        owners = ", ".join(sorted(map(str, self._origins))) or "no host"
        target = str(origin) if origin else "a URL without a host"
        return f"{self.variable} belongs to {owners} and is not sent to {target!r}"

    def scrub(self, text: str) -> str:
        """Return `text` with the key replaced by the variable's name; see `scrubbing.texts`."""
        return self._texts.text(text)

    def is_in(self, data: bytes) -> bool:
        """Whether the whole key is in `data`, as it is; a quick look."""
        return self._value.encode() in data

    def scrub_bytes(self, data: bytes) -> bytes:
        """Return `data` with the key replaced by the variable's name."""
        return self._texts.data(data)

    def scrub_error(self, error: E) -> E:
        """Remove the key from an exception and all that it refers to, in place.

        Providers echo keys in the bodies of their 401s, and SDKs copy those into the exception.

        Returns:
            `error`, or an exception that replaces it if it cannot be changed.
        """
        return scrub_exception(error, self._texts)

    @property
    def _texts(self) -> TextScrubber:
        if self._scrubber is None:
            self._scrubber = TextScrubber(self._value, f"[{self.variable}]")
        return self._scrubber

    def __repr__(self) -> str:
        return f"Key({self.variable!r}, {_MASK!r})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        msg = f"{self.variable} cannot be pickled; set it in the process that runs the model"
        raise TypeError(msg)


_last_environment: tuple[Mapping[str, str], int] = ({}, hash(frozenset()))
"""The variables that `Keys.environment_state` saw last, and their state."""


class _Environment:
    """The variables of an environment, which are not shown when it is printed."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def get(self, name: str) -> str | None:
        return self._variables.get(name)

    def state(self) -> int:
        global _last_environment  # noqa: PLW0603 - all keys read the same one
        # `os.environ` keeps the variables in one dict, `_data`. Comparing all of it with a copy
        # costs less than five lookups, each of which encodes a name and decodes a value.
        variables = getattr(self._variables, "_data", self._variables)
        last_variables, state = _last_environment
        if variables != last_variables:
            last_variables = dict(variables)
            state = hash(frozenset(last_variables.items()))
            _last_environment = last_variables, state
        return state

    def is_same(self, other: _Environment) -> bool:
        """Whether both read the same variables."""
        return self._variables is other._variables


class Keys:
    """The available keys: those passed by the program, then those of the environment.

    Args:
        given: Keys by provider id; they take precedence over the environment.
        environ: The variables, `os.environ` by default.

    Raises:
        ConfigError: A given key is empty, or contains a character that no key has.
    """

    def __init__(
        self, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._environ = _Environment(os.environ if environ is None else environ)
        self._given: dict[str, Key] = {}
        for provider_id, value in (given or {}).items():
            variable = f"api_keys[{provider_id!r}]"
            if fault := _key_fault(value):
                msg = f"{variable} {fault}"
                raise ConfigError(msg)
            self._given[provider_id] = Key(variable, value, ())

    def __repr__(self) -> str:
        return f"Keys(given={sorted(self._given)})"

    @property
    def given(self) -> tuple[str, ...]:
        """The ids of the providers whose keys the program passed."""
        return tuple(self._given)

    def environment_state(self) -> int:
        """Return a number that changes whenever a variable is set, changed or unset."""
        return self._environ.state()

    def have_same_sources(self, other: Keys) -> bool:
        """Whether the other keys are read from the same environment and the same arguments."""
        return (
            self._environ.is_same(other._environ)
            and self._given.keys() == other._given.keys()
            and all(
                key.fingerprint == other._given[p].fingerprint for p, key in self._given.items()
            )
        )

    def setting(self, *variables: str) -> str | None:
        """Return the first of these variables that is set and not empty, without whitespace.

        This is for addresses and paths; `key` returns keys.
        """
        values = ((self._environ.get(variable) or "").strip() for variable in variables)
        return next((value for value in values if value), None)

    def unset(self, template: str) -> tuple[str, ...]:
        """Return the variables in a URL template that are not set."""
        return tuple(name for name in template_variables(template) if not self.setting(name))

    def fill(self, template: str, *, model_id: str) -> str:
        """Return a base URL with its `{model_id}` and `{VARIABLE}` filled in.

        A value may fill a part of the host, but not its end: the text after the host's last
        placeholder is the domain that the key belongs to.

        Raises:
            ConfigError: A variable is not set, or a value changes where the URL leads.
        """
        if "{" not in template:
            return template
        if unset := self.unset(template):
            msg = f"set {' and '.join(unset)}"
            raise ConfigError(msg)

        def value(match: re.Match[str]) -> str:
            return model_id if match[1] == "model_id" else self._host_or_path(match[1])

        filled = re.sub(r"\{(\w+)\}", value, template)
        template_host = urlsplit(template).netloc
        host = re.sub(r"\{(\w+)\}", value, template_host)
        # Parsers disagree about backslashes and '@', so a host is letters, digits, '.', '_', '-'.
        if not _HOST_AND_PORT.fullmatch(host) or urlsplit(filled).netloc != host:
            domain = template_host.rpartition("}")[2] or template_host
            msg = (
                f"its base URL expands to {filled!r}, which is outside {domain!r},"
                " the only place its key may be sent to"
            )
            raise ConfigError(msg)
        return filled

    def _host_or_path(self, variable: str) -> str:
        """Return a variable's value for a URL. A host may be written as its https address."""
        value = self.setting(variable) or ""
        without_scheme = value.removeprefix("https://")
        return value if without_scheme == value else without_scheme.removesuffix("/")

    def variable(self, provider_id: str, provider: Provider) -> tuple[str | None, str | None]:
        """Return which variable holds a provider's key, but not its value.

        Returns:
            `(variable, None)` if the key can be used, `(None, None)` if none is needed, and
            `(None, reason)` if one is missing or faulty; the reason says what to do.
        """
        if provider_id in self._given:
            return self._given[provider_id].variable, None
        faults: list[str] = []
        for names in provider.auth.any_of:
            if not names:
                return None, None
            if any(self._environ.get(name) is None for name in names):
                continue
            faults_here = self._faults(names)
            if not faults_here:
                return secret_variable(names, provider), None
            faults += faults_here
        return None, "; ".join(faults) or f"set {' and '.join(provider.auth.any_of[0])}"

    def _faults(self, names: Iterable[str]) -> list[str]:
        faults = ((name, _key_fault(self._environ.get(name))) for name in names)
        return [f"{name} {fault}" for name, fault in faults if fault]

    def fingerprint(self, provider_id: str, variable: str | None) -> str | None:
        """Return what distinguishes the values of a provider's key without revealing them."""
        if given := self._given.get(provider_id):
            return given.fingerprint if variable else None
        value = variable and self._environ.get(variable)
        return _fingerprint(value) if value else None

    def key(self, provider_id: str, provider: Provider, urls: Iterable[str]) -> Key | None:
        """Return the key of a provider, bound to `urls`, or `None` if it needs no key.

        Raises:
            ConfigError: The key is missing or faulty now.
        """
        variable, reason = self.variable(provider_id, provider)
        if reason:
            msg = f"{provider_id}: {reason}"
            raise ConfigError(msg)
        if variable is None:
            return None
        if given := self._given.get(provider_id):
            return given.bound_to(urls)
        return Key(variable, self._environ.get(variable) or "", urls)

    def scrub_error(self, error: E, providers: Iterable[Provider]) -> E:
        """Remove all given keys, and those of `providers` in the environment, from an exception.

        For errors about names: a caller may pass a key where a name belongs.
        """
        variables = {
            name for provider in providers for names in provider.auth.any_of for name in names
        }
        values = ((name, self._environ.get(name)) for name in sorted(variables))
        for key in (*self._given.values(), *(Key(n, value, ()) for n, value in values if value)):
            error = key.scrub_error(error)
        return error


def template_variables(template: str) -> tuple[str, ...]:
    """Return the environment variables in a URL template, which `{model_id}` is not."""
    names = dict.fromkeys(re.findall(r"\{(\w+)\}", template))
    return tuple(name for name in names if name != "model_id")


def secret_variable(names: tuple[str, ...], provider: Provider) -> str:
    """Return which of the variables of one alternative holds the secret: the last not in a URL."""
    urls = (endpoint.base_url for endpoint in provider.endpoints.values())
    in_urls = {name for url in urls for name in template_variables(url)}
    return next((name for name in reversed(names) if name not in in_urls), names[-1])


def _fingerprint(value: str) -> str:
    return hashlib.blake2b(value.encode(), key=_FINGERPRINT_KEY, digest_size=8).hexdigest()


def _key_fault(value: str | None) -> str | None:
    """Return what is wrong with a key's value, if anything."""
    if not value:
        return "is empty; set it to a key, or unset it"
    if "\n" in value or "\r" in value:
        return "contains a line break; set it again without it"
    if not re.fullmatch(r"[!-~]+", value):
        return "contains whitespace or a non-ASCII character; set it again without it"
    return None
