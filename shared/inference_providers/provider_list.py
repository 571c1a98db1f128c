"""`ProviderList`: the plain API, for programs without a framework."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Any

import msgspec

from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, InvalidResponseError
from inference_providers.failover import drivers
from inference_providers.failover.engine import failover
from inference_providers.failover.state import FailoverState
from inference_providers.registry.registry import Registry
from inference_providers.routing.backend import find_backend
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Selection
from inference_providers.updates.effective_registry import active_registry
from inference_providers.updates.updater import update_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.events import Attempt
    from inference_providers.registry.loader import RegistrySource
    from inference_providers.types import Plan, Route

__all__ = ["ProviderList"]

TEST_PROMPT = "Say hello."
TEST_MAX_TOKENS = 16

logger = logging.getLogger(__name__)


class ProviderList:
    """The providers of a registry, and connections to those your environment opens.

    Args:
        verbose: Log what is connected and what fails as warnings, which show on
            stderr where logging is not set up.
        json_override: A path, JSON text or dict that replaces the bundled registry.
            Files of the original project are taken unchanged.
        json_merge: Like `json_override`, but laid over the registry in force here (see
            `inference_providers.updates.effective_registry`).
        auto_update: Fetch a newer registry first. Trouble is logged in one line, and the
            last good one is used. What is fetched may change models and their facts, and
            never where a key goes.
        update_url: Where to fetch it; `AUTOPROVIDER_REGISTRY_URL` unless given.
        trusted_keys: Public keys, one of which must have signed it;
            `AUTOPROVIDER_TRUSTED_KEYS` unless given.
        allow_providers: Providers that only the fetched registry knows and that may be
            used, each with its host: `newprovider@api.newprovider.com`;
            `AUTOPROVIDER_ALLOW_PROVIDERS` unless given.

    Raises:
        RegistryError: A given registry is not what it should be.
        ConfigError: `auto_update` has no URL, a setting for it is wrong, or
            `json_override` leaves nothing for it to update.
    """

    def __init__(  # noqa: PLR0913 - the first four are positional in the original project
        self,
        verbose: bool = False,  # noqa: FBT001, FBT002
        json_override: RegistrySource | None = None,
        json_merge: RegistrySource | None = None,
        auto_update: bool = False,  # noqa: FBT001, FBT002
        *,
        update_url: str | None = None,
        trusted_keys: Sequence[str] | None = None,
        allow_providers: Sequence[str] | None = None,
    ) -> None:
        if json_override is not None:
            if auto_update:
                msg = "json_override replaces the registry that auto_update would update; pass one"
                raise ConfigError(msg)
            replaced = Registry.load(json_override)
            self.registry = replaced if json_merge is None else replaced.merged(json_merge)
        else:
            updates = update_source(
                Keys(),
                url=update_url,
                trusted_keys=trusted_keys,
                allow_providers=allow_providers,
            )
            self.registry = active_registry(json_merge, updates=updates, refresh=auto_update)
        self._log_level = logging.WARNING if verbose else logging.DEBUG

    def __repr__(self) -> str:
        return f"ProviderList({self.registry!r})"

    @staticmethod
    def get_updated_provider_list(
        verbose: bool = False,  # noqa: FBT001, FBT002 - positional in the original project
        *,
        update_url: str | None = None,
        trusted_keys: Sequence[str] | None = None,
        allow_providers: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Return the newest registry as a dict that `json_override` takes.

        It is the bundled one with what a fetched one may change. Where none can be
        had, it is the last good one.

        Raises:
            ConfigError: There is no URL, or a setting is wrong.
        """
        updated = ProviderList(
            verbose,
            auto_update=True,
            update_url=update_url,
            trusted_keys=trusted_keys,
            allow_providers=allow_providers,
        )
        return updated.registry.as_dict()

    def get_canonical_model_names(self) -> list[str]:
        """Return the canonical names that some provider lists, sorted."""
        return list(self.registry.models)

    def find_model_providers(self, canonical_name: str) -> list[Route]:
        """Return the routes to a model that are usable now, in order; empty if there are none.

        Raises:
            UnknownModelError: The model is unknown or retired.
        """
        return list(self.explain(canonical_name).routes)

    def explain(self, canonical_name: str | None = None) -> Plan:
        """Return the plan for a model, or for any: who would serve, who would not, and why.

        Raises:
            UnknownModelError: The model is unknown or retired.
        """
        return self._resolver((canonical_name,) if canonical_name else ()).plan()

    def connect_to_model(
        self,
        canonical_name: str,
        choose_randomly: bool = False,  # noqa: FBT001, FBT002 - positional in the original project
        test: bool = False,  # noqa: FBT001, FBT002
    ) -> tuple[Any, str]:
        """Return a client for a model and the name to call it by.

        Args:
            canonical_name: The model, in any spelling the registry knows.
            choose_randomly: Shuffle the routes first.
            test: Ask each for a few tokens, and take the first that answers.

        Returns:
            An `openai.OpenAI` client, or for an endpoint that speaks another protocol an
            object with the same `chat.completions.create`, and the provider's model id.

        Raises:
            UnknownModelError: The model is unknown or retired.
            NoRouteError: Nothing here can serve it; says what to set.
            AllRoutesFailed: With `test`, no route answered.
        """
        return self._connect((canonical_name,), test=test, choose_randomly=choose_randomly)

    def connect_to_first_available_model(
        self,
        model_names: Sequence[str],
        test: bool = False,  # noqa: FBT001, FBT002 - positional in the original project
    ) -> tuple[Any, str]:
        """Return a client for the first model of a list that has a source here.

        Raises as `connect_to_model`.
        """
        return self._connect(tuple(model_names), test=test)

    def connect_to_ai(self, test: bool = True) -> tuple[Any, str]:  # noqa: FBT001, FBT002
        """Return a client for the best model that can be reached, by `auto_model_priority`.

        Raises as `connect_to_model`.
        """
        return self._connect((), test=test)

    def get_response(self, client: Any, model_id: str, prompt: str) -> str:
        """Return the text of a connected model's answer to one prompt.

        Raises:
            InvalidResponseError: The answer holds no text.
            Exception: Whatever the client raises.
        """
        answer = client.chat.completions.create(
            model=model_id, messages=[{"role": "user", "content": prompt}]
        )
        return _text(answer)

    def ask_ai(self, question: str, test: bool = True) -> str:  # noqa: ARG002, FBT001, FBT002
        """Return the best reachable model's answer, failing over between all routes.

        `test` is taken for the original's sake: failover makes a trial call needless.

        Raises as `connect_to_model`.
        """
        return find_backend().chat(Selection(), self.registry).answer(question).text

    def _resolver(self, names: tuple[str, ...]) -> Resolver:
        selection = Selection(models=names)
        return Resolver(selection, self.registry, Keys(), find_backend().unsupported_protocols)

    def _connect(
        self, names: tuple[str, ...], *, test: bool, choose_randomly: bool = False
    ) -> tuple[Any, str]:
        resolver = self._resolver(names)
        plan = resolver.plan()
        if choose_randomly:
            routes = tuple(random.sample(plan.routes, len(plan.routes)))
            plan = msgspec.structs.replace(plan, routes=routes)

        def send(attempt: Attempt) -> tuple[Any, str]:
            route = attempt.route
            client = find_backend().client(route, resolver.access(route))
            if test:
                self._test(client, route)
            return client, route.model_id

        health = resolver.state
        if not test:  # nothing is asked, so nothing is learned; a rest is no reason for no client
            plan = msgspec.structs.replace(plan, routes=plan.routes or plan.cooling_down)
            health = FailoverState()
        engine = failover(plan, state=health, now=time.monotonic(), trial=True)
        connection, tried = drivers.call(engine, send, resolver.scrub)
        for attempt in tried:
            logger.log(self._log_level, "%s", attempt)
        return connection

    def _test(self, client: Any, route: Route) -> None:
        answer = client.chat.completions.create(
            model=route.model_id,
            messages=[{"role": "user", "content": TEST_PROMPT}],
            **{route.quirks.max_tokens_field: TEST_MAX_TOKENS},
        )
        _text(answer, may_be_empty=True)


def _text(answer: Any, *, may_be_empty: bool = False) -> str:
    try:
        text = answer.choices[0].message.content
    except (AttributeError, IndexError, TypeError) as error:
        msg = f"the provider's answer holds no choices: {str(answer)[:200]}"
        raise InvalidResponseError(msg) from error
    if not text and not may_be_empty:
        msg = "the provider's answer holds no text"
        raise InvalidResponseError(msg)
    return str(text or "").strip()
