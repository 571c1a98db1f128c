"""A planner that keeps what did not change plans exactly as a new one does."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from factories import provider_row
from inference_providers.credentials import Keys
from inference_providers.failover.cooldowns import Cooldown, cooldown_keys
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.registry.registry import Registry
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.planner import Planner, plan
from inference_providers.types import LocalModels, Needs, Selection, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inference_providers.failover.cooldowns import CooldownKey
    from inference_providers.types import Route

REGISTRY = Registry.load(
    {
        "providers": {
            "a": provider_row(
                {
                    "big": {
                        "id": "a-big",
                        "context": 1000,
                        "tools": True,
                        "cost": {"in": 2, "out": 3},
                    },
                    "small": {"id": "a-small", "context": 100, "shutdown": "2026-06-01"},
                },
                "A_KEY",
            ),
            "b": provider_row(
                {
                    "big": {"id": "b-big", "tools": False, "cost": {"in": 1, "out": 1}},
                    "small": {"id": "b-small", "input": ["text", "image"]},
                },
                "B_KEY",
                base_url="https://{B_REGION}.b.test/v1",
            ),
            "c": provider_row({"big": "c-big"}, "C_KEY", protocol="gopher"),
            "server": provider_row({}, kind="local", base_url="http://127.0.0.1:1/v1"),
            "inside": provider_row(
                {"tiny": "tiny.gguf"}, kind="embedded", base_url="http://127.0.0.1/v1"
            ),
        },
        "auto_model_priority": ["big", "small"],
    }
)
SERVER = LocalModels(base_url="http://127.0.0.1:1/v1", models=("big", "mine"))
TINY = LocalModels(base_url="http://127.0.0.1/v1", models=("tiny.gguf",))
FAILURE = Classification(FailureClass.OVERLOADED, 503, Scope.ROUTE)

changes = st.one_of(
    st.tuples(
        st.sampled_from(["A_KEY", "B_KEY", "C_KEY", "B_REGION", "OTHER"]),
        st.sampled_from(["k-1", "k-2", "", None]),
    ),
    st.tuples(st.just("today"), st.sampled_from([date(2026, 5, 31), date(2026, 6, 1)])),
    st.tuples(st.just("server"), st.sampled_from([SERVER, Unavailable(reason="no server"), None])),
    st.tuples(st.just("inside"), st.sampled_from([TINY, Unavailable(reason="no weights"), None])),
    st.tuples(
        st.just("needs"),
        st.builds(
            Needs,
            tools=st.booleans(),
            structured=st.booleans(),
            input=st.sampled_from([frozenset({"text"}), frozenset({"text", "image"})]),
            context=st.sampled_from([0, 50, 500, 5000]),
            ruled_out_protocols=st.sampled_from([(), (("openai-chat", "use a function"),)]),
        ),
    ),
    st.tuples(
        st.just("cooldown"),
        st.tuples(st.integers(0, 3), st.sampled_from(Scope), st.floats(6.0, 99.0)),
    ),
    st.tuples(st.just("no cooldown"), st.none()),
)
selections = st.builds(
    Selection,
    models=st.sampled_from([(), ("big",), ("small", "big"), ("server/mine",), ("tiny", "big")]),
    order=st.sampled_from([(), ("b",)]),
    exclude=st.sampled_from([(), ("a",)]),
    sort=st.sampled_from(["registry", "price", "latency"]),
)


class Situation:
    """What a plan depends on, changed one thing at a time."""

    def __init__(self) -> None:
        self.environ = {"A_KEY": "k-1", "B_KEY": "k-1", "B_REGION": "eu"}
        self.keys = Keys(environ=self.environ)
        self.today = date(2026, 5, 31)
        self.local: dict[str, LocalModels | Unavailable] = {}
        self.cooldowns: dict[CooldownKey, Cooldown] = {}
        self.needs = Needs()

    def change(self, what: str, value: Any, routes: Sequence[Route]) -> None:
        if what == "today":
            self.today = value
        elif what == "needs":
            self.needs = value
        elif what == "no cooldown":
            self.cooldowns = {}
        elif what == "cooldown":
            n, scope, until = value
            keys = cooldown_keys(routes[n % len(routes)]) if routes else {}
            if scope in keys:
                self.cooldowns = {**self.cooldowns, keys[scope]: Cooldown(until, FAILURE, 1, 0.0)}
        else:
            self._set(what, value)

    def _set(self, name: str, value: Any) -> None:
        values: dict[str, Any] = self.environ
        if name in {"server", "inside"}:
            values = self.local = dict(self.local)
        values.pop(name, None)
        if value is not None:
            values[name] = value

    def context(self) -> PlanningContext:
        return PlanningContext(
            keys=self.keys,
            today=self.today,
            local_models=self.local,
            cooldowns=self.cooldowns,
            now=5.0,
            latency_ms=lambda route: float(len(route.model_id)),
        )


@given(selections, st.lists(changes, max_size=12))
def test_planner_plans_the_same_as_a_new_planner(
    selection: Selection, changes: list[tuple[str, Any]]
) -> None:
    unsupported = {"gopher": "install the gopher extra"}
    planner = Planner(selection, REGISTRY, unsupported)
    situation = Situation()
    routes: tuple[Route, ...] = ()
    for what, value in [("needs", Needs()), *changes]:
        situation.change(what, value, routes)
        new = plan(
            selection,
            REGISTRY,
            situation.context(),
            needs=situation.needs,
            unsupported_protocols=unsupported,
        )
        assert planner.plan(situation.context(), situation.needs) == new
        routes = (*new.routes, *new.cooling_down) or routes


def test_planner_keeps_its_routes_while_nothing_changes() -> None:
    keys = Keys(environ={"A_KEY": "k"})
    planner = Planner(Selection(models=("big",)), REGISTRY)
    context = PlanningContext(keys=keys, today=date(2026, 5, 1))
    first = planner.plan(context, Needs(context=10))
    assert first.routes
    assert planner.plan(context, Needs(context=20)).routes is first.routes
