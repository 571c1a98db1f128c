"""A plan orders the usable routes, and gives a reason for every other candidate."""

from __future__ import annotations

import html
import itertools
import re
from datetime import date

import pytest
from msgspec import structs

from factories import provider_row
from inference_providers.credentials import Keys
from inference_providers.errors import NoRouteError, PromptTooLongError, UnknownModelError
from inference_providers.failover.cooldowns import Cooldown, cooldown_keys
from inference_providers.failures.classes import Classification, FailureClass, Scope
from inference_providers.registry.registry import Registry
from inference_providers.routing.context import PlanningContext
from inference_providers.routing.planner import plan
from inference_providers.types import LocalModels, Needs, Plan, Quirks, Selection, Unavailable

TODAY = date(2026, 11, 22)

REGISTRY = {
    "providers": {
        "a": provider_row({"big": "a-big", "small": "a-small"}, "A_KEY"),
        "b": provider_row({"big": "b-big", "small": {"id": "b-small", "tools": False}}, "B_KEY"),
        "c": provider_row({"big": "org/c-big"}, "C_KEY"),
        "server": provider_row({}, kind="local"),
        "inside": provider_row({"tiny": "Tiny-Q4_1.gguf"}, kind="embedded"),
    },
    "aliases": {"nick": "big"},
    "auto_model_priority": ["big", "small", "tiny"],
}
ALL_KEYS = {"A_KEY": "ka", "B_KEY": "kb", "C_KEY": "kc"}
TINY = LocalModels(base_url="http://127.0.0.1/v1", models=("Tiny-Q4_1.gguf",))
SERVER = LocalModels(base_url="http://127.0.0.1:1/v1", models=("org/Big-Instruct", "mine:7b"))


def plan_for(
    *models: str,
    environ: dict = ALL_KEYS,
    local_models: dict | None = None,
    registry: dict = REGISTRY,
    needs: Needs | None = None,
    unsupported_protocols: dict | None = None,
    **selection,
) -> Plan:
    context = PlanningContext(
        keys=Keys(environ=environ), today=TODAY, local_models=local_models or {}
    )
    return plan(
        Selection(models=models, **selection),
        Registry.load(registry),
        context,
        needs=needs or Needs(),
        unsupported_protocols=unsupported_protocols,
    )


def routes(result: Plan) -> list[str]:
    return [str(route) for route in result.routes]


def reasons(result: Plan) -> dict[str, str]:
    return {skip.provider: skip.reason for skip in result.skipped}


# Order


def test_plan_keeps_the_registrys_order_of_providers() -> None:
    assert routes(plan_for("big")) == ["a/big", "b/big", "c/big"]


def test_plan_keeps_the_selections_order_of_models() -> None:
    assert routes(plan_for("small", "big")) == ["a/small", "b/small", "a/big", "b/big", "c/big"]


def test_order_puts_providers_first() -> None:
    assert routes(plan_for("big", order=("c", "b"))) == ["c/big", "b/big", "a/big"]


def test_plan_without_a_model_uses_the_priority_list() -> None:
    result = plan_for()
    assert routes(result) == ["a/big", "b/big", "c/big", "a/small", "b/small"]
    assert result.models == ()


def test_plan_has_one_route_for_a_model_named_twice() -> None:
    assert routes(plan_for("big", "nick", "a/big")) == ["a/big", "b/big", "c/big"]


def test_plan_passes_over_an_unlisted_priority() -> None:
    registry = {**REGISTRY, "auto_model_priority": ["removed", "small"]}
    assert routes(plan_for(registry=registry)) == ["a/small", "b/small"]


# Which providers may serve


def test_only_keeps_the_named_providers() -> None:
    result = plan_for("big", only=("b",))
    assert routes(result) == ["b/big"]
    assert reasons(result) == {"a": "not in only=", "c": "not in only=", "server": "not in only="}


def test_exclude_removes_providers() -> None:
    result = plan_for("big", exclude=("a", "c"))
    assert routes(result) == ["b/big"]
    assert reasons(result)["a"] == "excluded"


def test_plan_for_a_pinned_name_has_one_provider() -> None:
    result = plan_for("b/big")
    assert routes(result) == ["b/big"]
    assert result.skipped == ()


def test_plan_is_the_same_for_an_alias_and_a_model_id() -> None:
    assert routes(plan_for("nick")) == routes(plan_for("ORG/C-big")) == routes(plan_for("big"))
    assert plan_for("nick").models == ("big",)


@pytest.mark.parametrize("needed", [{"only": ("a",)}, {"order": ("a",)}])
def test_opt_in_provider_is_used_when_named(needed: dict) -> None:
    registry = {
        "providers": {"a": provider_row({"big": "x"}, "WANDB_API_KEY", auth={"opt_in": True})}
    }
    environ = {"WANDB_API_KEY": "t"}
    assert routes(plan_for("big", registry=registry, environ=environ, **needed)) == ["a/big"]
    assert routes(plan_for("a/big", registry=registry, environ=environ)) == ["a/big"]
    result = plan_for("big", registry=registry, environ=environ)
    assert result.routes == ()
    assert "opt in with only= or order=" in reasons(result)["a"]


def test_opt_in_may_concern_one_of_several_variables() -> None:
    auth = {"any_of": [["A_KEY"], ["SHARED_KEY"]], "opt_in_variables": ["SHARED_KEY"]}
    registry = {"providers": {"a": {**provider_row({"big": "x"}), "auth": auth}}}
    both = {"A_KEY": "k", "SHARED_KEY": "s"}
    [route] = plan_for("big", registry=registry, environ=both).routes
    assert route.key_variable == "A_KEY"
    result = plan_for("big", registry=registry, environ={"SHARED_KEY": "s"})
    assert "opt in with only= or order=" in reasons(result)["a"]
    [route] = plan_for("a/big", registry=registry, environ={"SHARED_KEY": "s"}).routes
    assert route.key_variable == "SHARED_KEY"


def test_accepts_any_model_allows_unlisted_pinned_names() -> None:
    rows = {
        "a": provider_row({}, "A_KEY", accepts_any_model=True),
        "b": provider_row({"big": "b-big"}, "B_KEY"),
    }
    registry = {"providers": rows}
    [route] = plan_for("a/Own-Name", registry=registry).routes
    assert (route.provider, route.model_id) == ("a", "Own-Name")
    assert routes(plan_for("big", registry=registry)) == ["b/big"]
    assert routes(plan_for("a/big", registry=registry)) == ["a/big"]
    with pytest.raises(UnknownModelError):
        plan_for("b/Own-Name", registry=registry)


def test_variant_of_another_provider_is_used_when_named() -> None:
    rows = {
        "a": provider_row({"big": "x"}, "A_KEY"),
        "a-cn": provider_row({"big": "x"}, "A_KEY", variant_of="a"),
    }
    result = plan_for("big", registry={"providers": rows})
    assert routes(result) == ["a/big"]
    assert reasons(result)["a-cn"] == "regional or plan variant of 'a'; opt in with only= or order="
    named = plan_for("big", registry={"providers": rows}, order=("a-cn",))
    assert routes(named) == ["a-cn/big", "a/big"]


def test_quirks_of_a_model_replace_its_providers() -> None:
    model = {"id": "x", "quirks": {"drop_params": ["stop"]}}
    quirks = {"max_tokens_field": "max_completion_tokens"}
    registry = {
        "providers": {"a": provider_row({"big": model, "small": "y"}, "A_KEY", quirks=quirks)}
    }
    big, small = plan_for("big", "small", registry=registry).routes
    assert big.quirks == Quirks(drop_params=("stop",))
    assert small.quirks == Quirks(max_tokens_field="max_completion_tokens")


def test_quirks_of_an_endpoint_replace_all_others() -> None:
    other = {
        "protocol": "openai-chat",
        "base_url": "https://p.test/v2",
        "quirks": {"strict_tools": False},
    }
    models = {"big": {"id": "x", "endpoint": "other"}, "small": "y"}
    provider = provider_row(models, "A_KEY", quirks={"max_n": 1})
    provider["endpoints"]["other"] = other
    big, small = plan_for("big", "small", registry={"providers": {"a": provider}}).routes
    assert big.quirks == Quirks(strict_tools=False)
    assert small.quirks == Quirks(max_n=1)


# Keys, protocols, dates, needs


def test_route_names_its_variable_and_contains_no_key() -> None:
    result = plan_for("big", environ={"A_KEY": "sk-canary-1"})
    assert result.routes[0].key_variable == "A_KEY"
    for html_text in (repr(result), str(result), result._repr_html_()):
        assert "sk-canary-1" not in html_text
        assert "A_KEY" in html_text


def test_skipped_without_a_key_says_what_to_set() -> None:
    result = plan_for("big", environ={"B_KEY": "k"})
    assert routes(result) == ["b/big"]
    assert reasons(result)["a"] == "set A_KEY"


def test_skipped_gives_a_providers_reason_once() -> None:
    result = plan_for("big", "small", environ={})
    assert [skip.provider for skip in result.skipped if skip.reason == "set A_KEY"] == ["a"]


def test_skipped_says_what_an_unsupported_protocol_needs() -> None:
    registry = {"providers": {"a": provider_row({"big": "x"}, protocol="gopher")}}
    result = plan_for(
        "big", registry=registry, unsupported_protocols={"gopher": "install the gopher extra"}
    )
    assert reasons(result) == {"a": "install the gopher extra"}


@pytest.mark.parametrize(
    ("shutdown", "usable"), [("2026-11-21", False), ("2026-11-22", False), ("2026-11-23", True)]
)
def test_plan_uses_a_model_until_its_shutdown_date(shutdown: str, usable: bool) -> None:
    registry = {"providers": {"a": provider_row({"big": {"id": "x", "shutdown": shutdown}})}}
    result = plan_for("big", registry=registry)
    assert bool(result.routes) is usable
    assert usable or reasons(result) == {"a": f"'x' was shut down on {shutdown}"}


def test_plan_uses_another_snapshot_after_a_shutdown() -> None:
    entries = [{"id": "x", "shutdown": "2026-01-01"}, {"id": "x-0613", "snapshot": "0613"}]
    result = plan_for("big", registry={"providers": {"a": provider_row({"big": entries})}})
    assert [route.model_id for route in result.routes] == ["x-0613"]


@pytest.mark.parametrize(
    ("needs", "facts", "reason"),
    [
        (Needs(tools=True), {"tools": False}, "does not offer tools"),
        (
            Needs(structured=True),
            {"structured": False},
            "does not offer structured output; use a tool instead",
        ),
        (Needs(input=frozenset({"image"})), {"input": ["text"]}, "does not take image input"),
        (Needs(input=frozenset({"pdf", "image"})), {}, "does not take image or pdf input"),
        (Needs(tools=True), {"tools": None}, None),
        (Needs(tools=True, structured=True), {"tools": True, "structured": True}, None),
        (Needs(input=frozenset({"text", "image"})), {"input": ["text", "image"]}, None),
        (Needs(), {"tools": False, "structured": False}, None),
    ],
)  # fmt: skip
def test_needs_rule_out_a_route_that_lacks_them(
    needs: Needs, facts: dict, reason: str | None
) -> None:
    registry = {"providers": {"a": provider_row({"big": {"id": "x", **facts}})}}
    result = plan_for("big", registry=registry, needs=needs)
    assert reasons(result).get("a") == reason
    assert bool(result.routes) is (reason is None)


def test_skipped_says_that_the_prompt_is_too_long() -> None:
    registry = {
        "providers": {
            "a": provider_row({"big": {"id": "x", "context": 1000}}),
            "b": provider_row({"big": {"id": "y", "context": 2000}}),
            "c": provider_row({"big": "unknown-window"}),
        }
    }
    result = plan_for("big", registry=registry, needs=Needs(context=1500))
    assert routes(result) == ["b/big", "c/big"]
    assert reasons(result) == {"a": "holds 1,000 tokens, and the prompt has 1,500"}
    assert routes(plan_for("big", registry=registry, needs=Needs(context=1000)))[0] == "a/big"


# Cooldowns


def test_plan_holds_back_routes_in_a_cooldown() -> None:
    context = PlanningContext(keys=Keys(environ=ALL_KEYS), today=TODAY)
    chosen, registry = Selection(models=("big", "small")), Registry.load(REGISTRY)
    a_big, *_ = plan(chosen, registry, context).routes
    keys = cooldown_keys(a_big)
    failure = Classification(FailureClass.OVERLOADED, 503, Scope.ROUTE)
    cooldowns = {
        keys[Scope.ROUTE]: Cooldown(20.0, failure, 1, 0.0),
        keys[Scope.KEY]: Cooldown(30.0, failure, 1, 0.0),
    }
    context = structs.replace(context, cooldowns=cooldowns, now=10.0)
    result = plan(chosen, registry, context)
    assert [str(route) for route in result.cooling_down] == ["a/big", "a/small"]
    assert routes(result) == ["b/big", "c/big", "b/small"]
    assert [(skip.provider, skip.model) for skip in result.skipped[:2]] == [
        ("a", "big"),
        ("a", "small"),
    ]
    assert {skip.reason for skip in result.skipped[:2]} == {
        "cooling down for 20 s: overloaded (HTTP 503)"
    }, "the longest cooldown of a route counts"


# Models on this machine


def test_skipped_names_a_local_server_that_was_not_checked() -> None:
    assert reasons(plan_for("big"))["server"] == "not checked; pass local=True, or name it"


def test_skipped_says_why_a_local_server_is_unavailable() -> None:
    result = plan_for(
        "big", local_models={"server": Unavailable(reason="no server at X; start it")}
    )
    assert reasons(result)["server"] == "no server at X; start it"


def test_local_server_serves_the_models_it_lists() -> None:
    result = plan_for("big", local_models={"server": SERVER})
    assert routes(result) == ["a/big", "b/big", "c/big", "server/big"]
    local = result.routes[-1]
    assert (local.model_id, local.endpoint.base_url) == ("org/Big-Instruct", SERVER.base_url)
    assert local.key_variable is None


@pytest.mark.parametrize("name", ["small", "server/small"])
def test_skipped_says_that_a_local_server_lacks_the_model(name: str) -> None:
    result = plan_for(name, local_models={"server": SERVER}, environ={})
    assert result.routes == ()
    assert reasons(result)["server"] == "does not serve 'small'; load it there"


def test_local_allows_names_that_only_a_server_knows() -> None:
    assert routes(plan_for("mine:7b", local=True, local_models={"server": SERVER})) == [
        "server/mine:7b"
    ]
    assert routes(plan_for("server/mine-7b", local_models={"server": SERVER})) == ["server/mine-7b"]
    with pytest.raises(UnknownModelError):
        plan_for("mine:7b", local_models={"server": SERVER})


def test_plan_without_a_model_puts_local_servers_last() -> None:
    result = plan_for(local_models={"server": SERVER}, environ={"C_KEY": "k"})
    assert routes(result) == ["c/big", "server/big", "server/mine-7b"]


def test_embedded_model_is_the_last_resort() -> None:
    assert routes(plan_for(local_models={"inside": TINY}, environ={})) == ["inside/tiny"]
    result = plan_for(local_models={"inside": TINY})
    assert "inside/tiny" not in routes(result)
    assert reasons(result)["inside"] == "the embedded model is the last resort; name it to use it"
    local = plan_for(local_models={"inside": TINY, "server": SERVER}, environ={})
    assert routes(local) == ["server/big", "server/mine-7b"]


@pytest.mark.parametrize("name", ["tiny", "inside/tiny", "Tiny-Q4_1.gguf", "inside:TINY"])
def test_embedded_model_is_used_whenever_it_is_named(name: str) -> None:
    assert routes(plan_for(name, local_models={"inside": TINY})) == ["inside/tiny"]
    assert routes(plan_for(name, "big", local_models={"inside": TINY}))[0] == "inside/tiny"


def test_embedded_model_is_no_candidate_for_other_models() -> None:
    assert "inside" not in reasons(plan_for("big", local_models={"inside": TINY}))
    absent = Unavailable(reason="no weights; run `autoprovider local install`")
    assert "inside" not in reasons(plan_for("big", local_models={"inside": absent}))
    assert reasons(plan_for("tiny", local_models={"inside": absent}))["inside"] == absent.reason


# Plan.require


def test_require_names_the_model_and_every_reason() -> None:
    result = plan_for("big", environ={"B_KEY": ""}, exclude=("c",))
    with pytest.raises(NoRouteError) as caught:
        result.require()
    assert str(caught.value) == (
        "No usable route to 'big': a: set A_KEY; b: B_KEY is empty; set it to a key, or unset it;"
        " c: excluded; server: not checked; pass local=True, or name it"
    )


def test_require_names_providers_outside_only_if_none_is_left() -> None:
    with pytest.raises(NoRouteError, match=r"^No usable route to 'big': b: set B_KEY$"):
        plan_for("big", environ={}, only=("b",)).require()
    with pytest.raises(NoRouteError, match=r"'small': a: not in only=; b: not in only="):
        plan_for("small", only=("c",)).require()


def test_require_says_that_the_registry_lists_nothing() -> None:
    with pytest.raises(
        NoRouteError, match=r"^No usable route to any model: the registry lists no provider"
    ):
        plan_for(registry={"providers": {}}).require()


def test_require_says_that_the_prompt_is_too_long() -> None:
    windows = {"a": 1000, "b": 2000}
    rows = {p: provider_row({"big": {"id": "x", "context": n}}) for p, n in windows.items()}
    result = plan_for("big", registry={"providers": rows}, needs=Needs(context=5000))
    message = "at least 5,000 tokens; the largest window of 2 usable routes holds 2,000"
    with pytest.raises(PromptTooLongError, match=message):
        result.require()


def test_require_returns_a_plan_with_routes() -> None:
    result = plan_for("big")
    assert result.require() is result


def test_skipped_reasons_all_have_a_form_of_the_docs() -> None:
    bundled = Registry.load()
    context = PlanningContext(keys=Keys(environ={}), today=TODAY)
    seen = set()
    for name in bundled.models:
        result = plan(Selection(models=(name,)), bundled, context)
        assert result.routes == ()
        assert result.skipped, name
        seen.update(skip.reason for skip in result.skipped)
    forms = (
        r"set [A-Z0-9_]+( and [A-Z0-9_]+)*|not checked; .*|'.*' was shut down on .*"
        r"|(?:regional or plan variant of '.*'|its key .*); opt in with only= or order="
    )
    assert {reason for reason in seen if not re.fullmatch(forms, reason)} == set()


# Purity


def test_plan_is_the_same_for_the_same_inputs() -> None:
    assert plan_for("big", "small") == plan_for("big", "small")
    assert plan_for() == plan_for()


def test_plan_ignores_the_order_of_the_environment() -> None:
    plans = [
        plan_for("big", environ=dict(items)) for items in itertools.permutations(ALL_KEYS.items())
    ]
    assert all(result == plans[0] for result in plans)


def test_plan_ignores_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "from-the-process")
    assert plan_for("big", environ={}).routes == ()


@pytest.mark.disable_socket
def test_plan_opens_no_socket() -> None:
    assert len(plan_for("big").routes) == 3


# Printing


def test_plan_prints_as_a_table() -> None:
    text = str(plan_for("big", "small", environ={"A_KEY": "k"}))
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0] == ["Routes", "to", "big,", "small"]
    assert ["1", "a", "big", "a-big", "A_KEY"] in lines
    assert ["2", "a", "small", "a-small", "A_KEY"] in lines
    assert ["b", "big", "set", "B_KEY"] in lines
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_plan_for_any_model_has_a_title_that_says_so() -> None:
    assert str(plan_for()).startswith("Routes to any model")


def test_plan_shows_brackets_and_markup_literally() -> None:
    model_id = "x[bold]y[/bold] <b>z</b>&"
    result = plan_for("big", registry={"providers": {"a": provider_row({"big": model_id})}})
    assert model_id in str(result)
    html_text = result._repr_html_()
    assert "<b>z" not in html_text
    assert model_id in html.unescape(re.sub(r"</?(pre|span)[^>]*>", "", html_text))


def test_plan_shows_the_same_table_in_a_notebook() -> None:
    result = plan_for("big")
    html_text = result._repr_html_()
    assert html_text.startswith("<pre")
    assert "<script" not in html_text
    plain = html.unescape(re.sub(r"<[^>]+>", "", html_text))
    assert [line.split() for line in plain.split("\n") if line.strip()] == [
        line.split() for line in str(result).split("\n") if line.strip()
    ]


# Which entry of several


SEVERAL = {
    "providers": {
        "a": provider_row(
            {
                "big": [
                    {"id": "a-free", "tier": "free"},
                    {"id": "a-dated", "snapshot": "2026-02-01", "released": "2026-02-01"},
                    {"id": "a-over", "released": "2026-06-01", "shutdown": "2026-11-22"},
                    {"id": "a-plain", "released": "2025-01-01", "shutdown": "2026-11-23"},
                ]
            }
        ),
        "b": provider_row({"big": "b-big"}),
        "server": provider_row({}, kind="local"),
    },
    "auto_model_priority": ["big"],
}


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("big", ["a-plain", "b-big"]),
        ("big:free", ["a-free"]),
        ("big@2026-02-01", ["a-dated"]),
        ("a/big@20260201", ["a-dated"]),
        ("a-dated", ["a-dated"]),
        ("a/a-free", ["a-free"]),
        ("b/b-big", ["b-big"]),
    ],
)
def test_plan_uses_only_entries_that_the_name_matches(name: str, ids: list[str]) -> None:
    local_models = {
        "server": LocalModels(base_url="http://127.0.0.1:1/v1", models=("Big-Instruct",))
    }
    result = plan_for(name, registry=SEVERAL)
    assert [route.model_id for route in result.routes] == ids
    served = plan_for(name, registry=SEVERAL, local_models=local_models).routes
    is_plain = name == "big"
    assert ("server" in {route.provider for route in served}) is is_plain


def test_plan_skips_an_entry_after_shutdown_even_if_named() -> None:
    assert reasons(plan_for("a/a-over", registry=SEVERAL)) == {
        "a": "'a-over' was shut down on 2026-11-22"
    }


def test_replacement_names_another_entry_or_model() -> None:
    registry = {
        "providers": {
            "a": provider_row(
                {
                    "big": ["a-big", {"id": "a-dated", "snapshot": "1"}, {"id": "f", "tier": "x"}],
                    "old": "a-old",
                    "alone": "a-alone",
                    "ending": ["a-ends", {"id": "a-ended", "shutdown": "2026-11-22"}],
                }
            )
        },
        "retired_models": {"old": {"replaced_by": ["big", "alone"]}},
    }
    replacements = {
        name: plan_for(name, registry=registry).routes[0].replacement
        for name in ("big", "a-dated", "big:x", "old", "alone", "ending")
    }
    assert replacements == {
        "big": "a/a-dated", "a-dated": "a/a-big", "big:x": None, "old": "big", "alone": None,
        "ending": None,
    }  # fmt: skip
    for name in filter(None, replacements.values()):
        assert plan_for(name, registry=registry).routes, f"{name!r} leads nowhere"
