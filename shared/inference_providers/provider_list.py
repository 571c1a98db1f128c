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
from inference_providers.registry.registry import Registry
from inference_providers.routing.backend import find_backend
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Selection, as_names
from inference_providers.updates.effective_registry import active_registry
from inference_providers.updates.updater import update_source
from inference_providers.wire.exchange import excerpt

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
    """The providers of a registry, and clients for those whose keys are set.

    Args:
        verbose: Whether to log connections and failures as warnings, which appear on stderr if
            logging is not configured. They are debug messages otherwise.
        json_override: A path, JSON text or dict that replaces the bundled registry. Files of the
            original project load unchanged.
        json_merge: The same, merged on top of the active registry (see
            `inference_providers.updates.effective_registry`).
        auto_update: Whether to fetch a newer registry first. If that fails, one line is logged
            and the last good registry is used. A download may change models and what is known
            about them, but never where a key goes.
        update_url: Where to fetch it; `AUTOPROVIDER_REGISTRY_URL` by default.
        trusted_keys: Public keys, one of which must have signed it;
            `AUTOPROVIDER_TRUSTED_KEYS` by default.
        allow_providers: Providers that only the download knows and that may be used, each with
            its host: `newprovider@api.newprovider.com`; `AUTOPROVIDER_ALLOW_PROVIDERS` by default.

    Raises:
        RegistryError: A given registry is invalid.
        ConfigError: `auto_update` has no URL, a setting for it is wrong, or it is combined with
            `json_override`.
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
                msg = "pass either json_override or auto_update, not both"
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
        """Return the newest registry as a dict that `json_override` accepts.

        It is the bundled registry with the changes that a download may make. If the download
        fails, it is the last good registry.

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
        """Return the canonical names of all listed models, sorted."""
        return list(self.registry.models)

    def find_model_providers(self, canonical_name: str) -> list[Route]:
        """Return the routes to a model that are usable now, in the order they would be tried.

        Raises:
            UnknownModelError: The model is unknown or retired.
        """
        return list(self.explain(canonical_name).routes)

    def explain(self, canonical_name: str | None = None) -> Plan:
        """Return the plan for a model, or for any: usable routes, and why others are skipped.

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
        """Return a client for a model, and the model's id to use with it.

        Without `test` nothing is sent: the client is that of the first route. A route in a
        cooldown is used if there is no other.

        Args:
            canonical_name: The model, in any spelling that the registry knows.
            choose_randomly: Whether to shuffle the routes first.
            test: Whether to request a few tokens from each route until one answers.

        Returns:
            An `openai.OpenAI` client, or for an endpoint with another protocol an object with
            the same `chat.completions.create`; and the provider's model id.

        Raises:
            UnknownModelError: The model is unknown or retired.
            NoRouteError: Nothing here can serve it; the message says what to set.
            AllRoutesFailed: With `test`, no route answered.
        """
        return self._connect((canonical_name,), test=test, choose_randomly=choose_randomly)

    def connect_to_first_available_model(
        self,
        model_names: str | Sequence[str],
        test: bool = False,  # noqa: FBT001, FBT002 - positional in the original project
    ) -> tuple[Any, str]:
        """Return a client for the first model of a list that can be served here.

        Raises the same errors as `connect_to_model`, and:

        Raises:
            ConfigError: The list is empty.
        """
        names = as_names(model_names or ())
        if not names:
            msg = "model_names is empty; pass at least one model name, or call connect_to_ai()"
            raise ConfigError(msg)
        return self._connect(names, test=test)

    def connect_to_ai(self, test: bool = True) -> tuple[Any, str]:  # noqa: FBT001, FBT002
        """Return a client for the best reachable model in the registry's `auto_model_priority`.

        Raises the same errors as `connect_to_model`.
        """
        return self._connect((), test=test)

    def get_response(self, client: Any, model_id: str, prompt: str) -> str:
        """Return the text of a connected model's answer to one prompt.

        Raises:
            InvalidResponseError: The answer has no text.
            Exception: The client's own exception.
        """
        answer = client.chat.completions.create(
            model=model_id, messages=[{"role": "user", "content": prompt}]
        )
        return _answer_text(answer)

    def ask_ai(self, question: str, test: bool = True) -> str:  # noqa: ARG002, FBT001, FBT002
        """Return the best reachable model's answer, failing over between all routes.

        `test` exists for compatibility only: failover makes a test call unnecessary.

        Raises the same errors as `connect_to_model`.
        """
        return find_backend().answer(Selection(), self.registry, question).text

    def _resolver(self, names: tuple[str, ...]) -> Resolver:
        selection = Selection(models=names)
        return Resolver(selection, self.registry, Keys(), find_backend().unsupported_protocols)

    def _connect(
        self, names: tuple[str, ...], *, test: bool, choose_randomly: bool = False
    ) -> tuple[Any, str]:
        resolver = self._resolver(names)
        plan = resolver.plan().require()
        if choose_randomly:
            routes = tuple(random.sample(plan.routes, len(plan.routes)))
            plan = msgspec.structs.replace(plan, routes=routes)
        if test:
            return self._first_that_answers(resolver, plan)
        route = (plan.routes or plan.cooling_down)[0]
        logger.log(self._log_level, "%s: connected without a test", route)
        return find_backend().client(route, resolver.access(route)), route.model_id

    def _first_that_answers(self, resolver: Resolver, plan: Plan) -> tuple[Any, str]:
        def send(attempt: Attempt) -> tuple[Any, str]:
            route = attempt.route
            client = find_backend().client(route, resolver.access(route))
            _request_few_tokens(client, route)
            return client, route.model_id

        engine = failover(plan, state=resolver.state, now=time.monotonic(), trial=True)
        connection, attempts = drivers.call(engine, send)
        for attempt in attempts:
            logger.log(self._log_level, "%s", attempt)
        return connection


def _request_few_tokens(client: Any, route: Route) -> None:
    answer = client.chat.completions.create(
        model=route.model_id,
        messages=[{"role": "user", "content": TEST_PROMPT}],
        **{route.quirks.max_tokens_field: TEST_MAX_TOKENS},
    )
    _answer_text(answer, may_be_empty=True)


def _answer_text(answer: Any, *, may_be_empty: bool = False) -> str:
    try:
        text = answer.choices[0].message.content
    except (AttributeError, IndexError, TypeError) as error:
        msg = f"the provider's answer has no choices: {excerpt(str(answer))}"
        raise InvalidResponseError(msg) from error
    if not text and not may_be_empty:
        msg = "the provider's answer has no text"
        raise InvalidResponseError(msg)
    return str(text or "").strip()
