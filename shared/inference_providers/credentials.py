"""Keys: the only reader of the environment.

* A key belongs to hosts. `Key.value_for(url)` gives the value for its own hosts
  only, and only over TLS or on this machine.
* A key masks itself wherever it is printed, and cannot be pickled: models carry
  the names of variables and look the values up where they run.
* Values are read when used, so a key may be set after a model was made.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import secrets
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from inference_providers.errors import ConfigError, KeyBindingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inference_providers.types import Provider

__all__ = ["Key", "Keys", "in_braces", "is_loopback", "secret_of"]

_SALT = secrets.token_bytes(16)
_MASK = "**********"
_SHORTEST_SCRUBBED = 6
"""Shorter values are left in texts: replacing "test" everywhere garbles the message."""


class Key:
    """A secret that goes to its own hosts and shows itself nowhere.

    Attributes:
        variable: The environment variable it came from, for messages.
        fingerprint: Tells two values apart without telling either; differs per process.
    """

    __slots__ = ("_hosts", "_value", "fingerprint", "variable")

    def __init__(self, variable: str, value: str, hosts: Iterable[str]) -> None:
        self.variable = variable
        self._value = value
        self._hosts = frozenset(hosts)
        self.fingerprint = _fingerprint(value)

    def value_for(self, url: str) -> str:
        """Return the value, to be sent to `url`.

        Raises:
            KeyBindingError: `url` is not one of the key's hosts, or is not encrypted.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host not in self._hosts:
            own = ", ".join(sorted(self._hosts)) or "no host"
            msg = f"{self.variable} belongs to {own} and is not sent to {host!r}"
            raise KeyBindingError(msg)
        if parts.scheme != "https" and not is_loopback(host):
            msg = f"{self.variable} is not sent to {host!r} unencrypted; use an https URL"
            raise KeyBindingError(msg)
        return self._value

    def scrub(self, text: str) -> str:
        """Return `text` with the value, should it stand there, replaced by the variable's name."""
        if len(self._value) < _SHORTEST_SCRUBBED:
            return text
        return text.replace(self._value, f"[{self.variable}]")

    def scrub_error(self, error: BaseException) -> None:
        """Scrub an exception in place, with its body and what it was raised from.

        Providers echo keys in the bodies of their 401s, and SDKs put those into the
        exception's text.
        """
        seen: set[int] = set()
        pending: list[BaseException | None] = [error]
        while pending:
            link = pending.pop()
            if link is None or id(link) in seen:
                continue
            seen.add(id(link))
            link.args = tuple(self._scrubbed(part) for part in link.args)
            for name in {"message", *vars(link)}:  # where an SDK keeps a body is its own affair
                if isinstance(value := getattr(link, name, None), str | dict | list):
                    with contextlib.suppress(AttributeError):  # a property made of `args`
                        setattr(link, name, self._scrubbed(value))
            pending += (link.__cause__, link.__context__)
            if isinstance(link, BaseExceptionGroup):
                pending += link.exceptions

    def _scrubbed(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, dict):
            return {self._scrubbed(k): self._scrubbed(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._scrubbed(item) for item in value]
        return value

    def __repr__(self) -> str:
        return f"Key({self.variable!r}, {_MASK!r})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        msg = f"{self.variable} is not pickled; set it where the model runs"
        raise TypeError(msg)


class Keys:
    """The keys at hand: those given by provider id, then the environment's.

    Args:
        given: Key values by provider id; they stand before the environment.
        environ: Where variables are read; `os.environ` unless told.

    Raises:
        ConfigError: A given key cannot be a key (empty, or holds white space).
    """

    def __init__(
        self, given: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._given = dict(given or {})
        self._environ = os.environ if environ is None else environ
        for provider_id, value in self._given.items():
            if fault := _fault(value):
                msg = f"api_keys[{provider_id!r}] {fault}"
                raise ConfigError(msg)

    def __repr__(self) -> str:
        return f"Keys(given={sorted(self._given)})"

    @property
    def given(self) -> tuple[str, ...]:
        """The ids of the providers whose keys were given, not read."""
        return tuple(self._given)

    def setting(self, *variables: str) -> str | None:
        """Return the value of the first of these variables that is set and not empty.

        For addresses and paths; keys are found with `key`.
        """
        values = (self._environ.get(variable, "").strip() for variable in variables)
        return next((value for value in values if value), None)

    def unset(self, template: str) -> tuple[str, ...]:
        """Return the variables that a URL template names and that are not set."""
        return tuple(name for name in in_braces(template) if not self.setting(name))

    def variable(self, provider_id: str, provider: Provider) -> tuple[str | None, str | None]:
        """Say which variable opens a provider, without giving the value.

        Returns:
            `(variable, None)` when usable, `(None, None)` when no key is needed, and
            `(None, reason)` when one is missing or faulty; the reason says what to do.
        """
        if provider_id in self._given:
            return f"api_keys[{provider_id!r}]", None
        faults: list[str] = []
        for names in provider.auth.any_of:
            values = {name: self._environ.get(name) for name in names}
            if not names:
                return None, None
            if all(value is not None for value in values.values()):
                found = [
                    f"{name} {fault}" for name, value in values.items() if (fault := _fault(value))
                ]
                if not found:
                    return secret_of(names, provider), None
                faults += found
        return None, "; ".join(faults) or f"set {' and '.join(provider.auth.any_of[0])}"

    def environment_state(self) -> int:
        """Return a number that changes whenever a variable is set, changed or unset.

        It reads all variables at once: `os.environ` keeps them in one dict (`_data`), a hash of
        which costs less than a look-up of ten names.
        """
        variables = getattr(self._environ, "_data", self._environ)
        return hash(frozenset(dict(variables).items()))

    def fingerprint(self, provider_id: str, variable: str | None) -> str | None:
        """Return what distinguishes the values of a provider's key without revealing them."""
        if variable is None:
            return None
        value = self._given.get(provider_id) or self._environ.get(variable)
        return _fingerprint(value) if value else None

    def key(self, provider_id: str, provider: Provider, hosts: Iterable[str]) -> Key | None:
        """Return the key of a provider bound to `hosts`, or `None` when it needs none.

        Raises:
            ConfigError: The key is missing or faulty now.
        """
        variable, reason = self.variable(provider_id, provider)
        if reason:
            msg = f"{provider_id}: {reason}"
            raise ConfigError(msg)
        if variable is None:
            return None
        value = self._given.get(provider_id) or self._environ[variable]
        return Key(variable, value, hosts)


def _fingerprint(value: str) -> str:
    return hashlib.blake2b(value.encode(), key=_SALT, digest_size=8).hexdigest()


def in_braces(template: str) -> tuple[str, ...]:
    """Return the variables a URL template names; `{model_id}` is none."""
    names = dict.fromkeys(re.findall(r"\{(\w+)\}", template))
    return tuple(name for name in names if name != "model_id")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fault(value: str | None) -> str | None:
    if not value:
        return "is empty: set it to a key, or unset it"
    if "\n" in value or "\r" in value:
        return "holds a line break: set it again without"
    if not re.fullmatch(r"[!-~]+", value):
        return "holds white space or a character no key has: set it again without"
    return None


def secret_of(names: tuple[str, ...], provider: Provider) -> str:
    """Of variables that are set together, the secret is the one no URL names."""
    in_urls = {name for e in provider.endpoints.values() for name in in_braces(e.base_url)}
    return next((name for name in reversed(names) if name not in in_urls), names[-1])
