"""A plan orders the usable routes, and gives the reason for every other candidate."""

from __future__ import annotations

import html
import itertools
import re
from datetime import date

import pytest

from factories import provider_row
from inference_providers.credentials import Keys
from inference_providers.errors import NoRouteError, UnknownModelError
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


def made(
    *models: str,
    environ: dict = ALL_KEYS,
    found: dict | None = None,
    registry: dict = REGISTRY,
    needs: Needs | None = None,
    unsupported_protocols: dict | None = None,
    **selection,
) -> Plan:
    around = PlanningContext(
        keys=Keys(environ=environ),
        today=TODAY,
        local_models=found or {},
    )
    chosen = Selection(models=models, **selection)
    return plan(
        chosen,
        Registry.load(registry),
        around,
        needs=needs or Needs(),
        unsupported_protocols=unsupported_protocols,
    )


def routes(planned: Plan) -> list[str]:
    return [str(route) for route in planned.routes]


def reasons(planned: Plan) -> dict[str, str]:
    return {skip.provider: skip.reason for skip in planned.skipped}


# Order


def test_providers_go_in_the_order_of_the_registry() -> None:
    assert routes(made("big")) == ["a/big", "b/big", "c/big"]


def test_models_go_in_the_order_asked() -> None:
    assert routes(made("small", "big")) == ["a/small", "b/small", "a/big", "b/big", "c/big"]


def test_order_puts_providers_first_and_leaves_the_others_behind() -> None:
    assert routes(made("big", order=("c", "b"))) == ["c/big", "b/big", "a/big"]


def test_no_model_means_the_priority_list() -> None:
    planned = made()
    assert routes(planned) == ["a/big", "b/big", "c/big", "a/small", "b/small"]
    assert planned.models == ()


def test_a_model_named_twice_is_one_route() -> None:
    assert routes(made("big", "nick", "a/big")) == ["a/big", "b/big", "c/big"]


def test_a_priority_that_nobody_lists_is_passed_over() -> None:
    registry = {**REGISTRY, "auto_model_priority": ["removed", "small"]}
    assert routes(made(registry=registry)) == ["a/small", "b/small"]


# Who is wanted


def test_only_keeps_those_providers() -> None:
    planned = made("big", only=("b",))
    assert routes(planned) == ["b/big"]
    assert reasons(planned) == {"a": "not in only=", "c": "not in only=", "server": "not in only="}


def test_exclude_takes_providers_out() -> None:
    planned = made("big", exclude=("a", "c"))
    assert routes(planned) == ["b/big"]
    assert reasons(planned)["a"] == "excluded"


def test_a_pinned_name_has_one_provider() -> None:
    planned = made("b/big")
    assert routes(planned) == ["b/big"]
    assert planned.skipped == ()


def test_an_alias_and_a_providers_own_id_mean_the_same_model() -> None:
    assert routes(made("nick")) == routes(made("ORG/C-big")) == routes(made("big"))
    assert made("nick").models == ("big",)


@pytest.mark.parametrize("needed", [{"only": ("a",)}, {"order": ("a",)}])
def test_a_provider_with_an_ambient_key_is_used_when_named(needed: dict) -> None:
    registry = {
        "providers": {"a": provider_row({"big": "x"}, "WANDB_API_KEY", auth={"opt_in": True})}
    }
    environ = {"WANDB_API_KEY": "t"}
    assert routes(made("big", registry=registry, environ=environ, **needed)) == ["a/big"]
    assert routes(made("a/big", registry=registry, environ=environ)) == ["a/big"]
    planned = made("big", registry=registry, environ=environ)
    assert planned.routes == ()
    assert "opt in with only= or order=" in reasons(planned)["a"]


def test_one_variable_of_several_may_be_ambient() -> None:
    auth = {"any_of": [["A_KEY"], ["SHARED_KEY"]], "opt_in_variables": ["SHARED_KEY"]}
    registry = {"providers": {"a": {**provider_row({"big": "x"}), "auth": auth}}}
    both = {"A_KEY": "k", "SHARED_KEY": "s"}
    [route] = made("big", registry=registry, environ=both).routes
    assert route.key_variable == "A_KEY"
    planned = made("big", registry=registry, environ={"SHARED_KEY": "s"})
    assert "opt in with only= or order=" in reasons(planned)["a"]
    [route] = made("a/big", registry=registry, environ={"SHARED_KEY": "s"}).routes
    assert route.key_variable == "SHARED_KEY"


def test_a_name_nobody_lists_is_a_users_own_where_names_are_free() -> None:
    rows = {
        "a": provider_row({}, "A_KEY", accepts_any_model=True),
        "b": provider_row({"big": "b-big"}, "B_KEY"),
    }
    registry = {"providers": rows}
    [route] = made("a/Own-Name", registry=registry).routes
    assert (route.provider, route.model_id) == ("a", "Own-Name")
    assert routes(made("big", registry=registry)) == ["b/big"]
    assert routes(made("a/big", registry=registry)) == ["a/big"]
    with pytest.raises(UnknownModelError):
        made("b/Own-Name", registry=registry)


def test_a_twin_of_another_provider_is_used_when_named() -> None:
    rows = {
        "a": provider_row({"big": "x"}, "A_KEY"),
        "a-cn": provider_row({"big": "x"}, "A_KEY", variant_of="a"),
    }
    planned = made("big", registry={"providers": rows})
    assert routes(planned) == ["a/big"]
    assert (
        reasons(planned)["a-cn"] == "regional or plan variant of 'a'; opt in with only= or order="
    )
    named = made("big", registry={"providers": rows}, order=("a-cn",))
    assert routes(named) == ["a-cn/big", "a/big"]


def test_quirks_of_a_model_stand_in_place_of_its_providers() -> None:
    model = {"id": "x", "quirks": {"drop_params": ["stop"]}}
    quirks = {"max_tokens_field": "max_completion_tokens"}
    registry = {
        "providers": {"a": provider_row({"big": model, "small": "y"}, "A_KEY", quirks=quirks)}
    }
    big, small = made("big", "small", registry=registry).routes
    assert big.quirks == Quirks(drop_params=("stop",))
    assert small.quirks == Quirks(max_tokens_field="max_completion_tokens")


def test_quirks_of_an_endpoint_stand_in_place_of_all_others() -> None:
    other = {
        "protocol": "openai-chat",
        "base_url": "https://p.test/v2",
        "quirks": {"strict_tools": False},
    }
    models = {"big": {"id": "x", "endpoint": "other"}, "small": "y"}
    provider = provider_row(models, "A_KEY", quirks={"max_n": 1})
    provider["endpoints"]["other"] = other
    big, small = made("big", "small", registry={"providers": {"a": provider}}).routes
    assert big.quirks == Quirks(strict_tools=False)
    assert small.quirks == Quirks(max_n=1)


# Keys, protocols, dates, needs


def test_a_route_names_its_variable_and_holds_no_key() -> None:
    planned = made("big", environ={"A_KEY": "sk-canary-1"})
    assert planned.routes[0].key_variable == "A_KEY"
    for shown in (repr(planned), str(planned), planned._repr_html_()):
        assert "sk-canary-1" not in shown
        assert "A_KEY" in shown


def test_a_missing_key_is_a_reason_that_says_what_to_set() -> None:
    planned = made("big", environ={"B_KEY": "k"})
    assert routes(planned) == ["b/big"]
    assert reasons(planned)["a"] == "set A_KEY"


def test_of_a_providers_one_reason_one_row_is_kept() -> None:
    planned = made("big", "small", environ={})
    assert [skip.provider for skip in planned.skipped if skip.reason == "set A_KEY"] == ["a"]


def test_a_protocol_nobody_speaks_is_a_reason() -> None:
    registry = {"providers": {"a": provider_row({"big": "x"}, protocol="gopher")}}
    planned = made(
        "big", registry=registry, unsupported_protocols={"gopher": "install the gopher extra"}
    )
    assert reasons(planned) == {"a": "install the gopher extra"}


@pytest.mark.parametrize(
    ("shutdown", "usable"), [("2026-11-21", False), ("2026-11-22", False), ("2026-11-23", True)]
)
def test_a_model_is_used_until_its_shutdown_date(shutdown: str, usable: bool) -> None:
    registry = {"providers": {"a": provider_row({"big": {"id": "x", "shutdown": shutdown}})}}
    planned = made("big", registry=registry)
    assert bool(planned.routes) is usable
    assert usable or reasons(planned) == {"a": f"'x' was shut down on {shutdown}"}


def test_an_edition_that_lives_stands_in_for_one_that_was_shut_down() -> None:
    entries = [{"id": "x", "shutdown": "2026-01-01"}, {"id": "x-0613", "snapshot": "0613"}]
    planned = made("big", registry={"providers": {"a": provider_row({"big": entries})}})
    assert [route.model_id for route in planned.routes] == ["x-0613"]


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
def test_what_a_route_is_known_to_lack_rules_it_out(
    needs: Needs, facts: dict, reason: str | None
) -> None:
    registry = {"providers": {"a": provider_row({"big": {"id": "x", **facts}})}}
    planned = made("big", registry=registry, needs=needs)
    assert reasons(planned).get("a") == reason
    assert bool(planned.routes) is (reason is None)


# This machine


def test_a_local_server_that_was_not_asked_is_named() -> None:
    assert reasons(made("big"))["server"] == "not checked; pass local=True, or name it"


def test_a_local_server_that_was_not_found_gives_its_reason() -> None:
    planned = made("big", found={"server": Unavailable(reason="no server at X; start it")})
    assert reasons(planned)["server"] == "no server at X; start it"


def test_a_local_server_serves_what_it_listed() -> None:
    planned = made("big", found={"server": SERVER})
    assert routes(planned) == ["a/big", "b/big", "c/big", "server/big"]
    local = planned.routes[-1]
    assert (local.model_id, local.endpoint.base_url) == ("org/Big-Instruct", SERVER.base_url)
    assert local.key_variable is None


@pytest.mark.parametrize("name", ["small", "server/small"])
def test_a_local_server_without_the_model_says_so(name: str) -> None:
    planned = made(name, found={"server": SERVER}, environ={})
    assert planned.routes == ()
    assert reasons(planned)["server"] == "does not serve 'small'; load it there"


def test_a_name_only_a_local_server_knows_needs_local() -> None:
    assert routes(made("mine:7b", local=True, found={"server": SERVER})) == ["server/mine:7b"]
    assert routes(made("server/mine-7b", found={"server": SERVER})) == ["server/mine-7b"]
    with pytest.raises(UnknownModelError):
        made("mine:7b", found={"server": SERVER})


def test_without_a_model_what_a_local_server_lists_comes_after_the_keyed() -> None:
    planned = made(found={"server": SERVER}, environ={"C_KEY": "k"})
    assert routes(planned) == ["c/big", "server/big", "server/mine-7b"]


def test_the_embedded_model_is_the_last_resort() -> None:
    assert routes(made(found={"inside": TINY}, environ={})) == ["inside/tiny"]
    planned = made(found={"inside": TINY})
    assert "inside/tiny" not in routes(planned)
    assert reasons(planned)["inside"] == "the embedded model is the last resort; name it to use it"
    local = made(found={"inside": TINY, "server": SERVER}, environ={})
    assert routes(local) == ["server/big", "server/mine-7b"]


@pytest.mark.parametrize("name", ["tiny", "inside/tiny", "Tiny-Q4_1.gguf", "inside:TINY"])
def test_the_embedded_model_is_used_whenever_it_is_named(name: str) -> None:
    assert routes(made(name, found={"inside": TINY})) == ["inside/tiny"]
    assert routes(made(name, "big", found={"inside": TINY}))[0] == "inside/tiny"


def test_the_embedded_model_is_not_a_candidate_for_other_models() -> None:
    assert "inside" not in reasons(made("big", found={"inside": TINY}))
    absent = Unavailable(reason="no weights; run `autoprovider local install`")
    assert "inside" not in reasons(made("big", found={"inside": absent}))
    assert reasons(made("tiny", found={"inside": absent}))["inside"] == absent.reason


# No route


def test_no_route_names_the_model_and_every_reason() -> None:
    planned = made("big", environ={"B_KEY": ""}, exclude=("c",))
    with pytest.raises(NoRouteError) as caught:
        planned.require()
    assert str(caught.value) == (
        "No usable route to 'big': a: set A_KEY; b: B_KEY is empty; set it to a key, or unset it;"
        " c: excluded; server: not checked; pass local=True, or name it"
    )


def test_no_route_names_whom_only_rules_out_where_nobody_else_is_left() -> None:
    with pytest.raises(NoRouteError, match=r"^No usable route to 'big': b: set B_KEY$"):
        made("big", environ={}, only=("b",)).require()
    with pytest.raises(NoRouteError, match=r"'small': a: not in only=; b: not in only="):
        made("small", only=("c",)).require()


def test_no_route_to_any_model_says_so() -> None:
    with pytest.raises(
        NoRouteError, match=r"^No usable route to any model: the registry lists no provider"
    ):
        made(registry={"providers": {}}).require()


def test_a_plan_with_routes_is_handed_back() -> None:
    planned = made("big")
    assert planned.require() is planned


def test_every_reason_says_what_to_do_or_what_is() -> None:
    bundled = Registry.load()
    around = PlanningContext(keys=Keys(environ={}), today=TODAY)
    seen = set()
    for name in bundled.models:
        planned = plan(Selection(models=(name,)), bundled, around)
        assert planned.routes == ()
        assert planned.skipped, name
        seen.update(skip.reason for skip in planned.skipped)
    known = (
        r"set [A-Z0-9_]+( and [A-Z0-9_]+)*|not checked; .*|'.*' was shut down on .*"
        r"|(?:regional or plan variant of '.*'|its key .*); opt in with only= or order="
    )
    assert {reason for reason in seen if not re.fullmatch(known, reason)} == set()


# Purity


def test_the_same_inputs_give_the_same_plan() -> None:
    assert made("big", "small") == made("big", "small")
    assert made() == made()


def test_the_plan_does_not_depend_on_the_order_of_the_environment() -> None:
    plans = [made("big", environ=dict(items)) for items in itertools.permutations(ALL_KEYS.items())]
    assert all(planned == plans[0] for planned in plans)


def test_a_plan_is_planned_without_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "from-the-process")
    assert made("big", environ={}).routes == ()


@pytest.mark.disable_socket
def test_planning_opens_no_socket() -> None:
    assert len(made("big").routes) == 3


# Printing


def test_a_plan_prints_as_a_table() -> None:
    text = str(made("big", "small", environ={"A_KEY": "k"}))
    lines = [line.split() for line in text.splitlines() if line.strip()]
    assert lines[0] == ["Routes", "to", "big,", "small"]
    assert ["1", "a", "big", "a-big", "A_KEY"] in lines
    assert ["2", "a", "small", "a-small", "A_KEY"] in lines
    assert ["b", "big", "set", "B_KEY"] in lines
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_title_of_a_plan_for_any_model_says_so() -> None:
    assert str(made()).startswith("Routes to any model")


def test_brackets_and_markup_are_shown_as_they_stand() -> None:
    model_id = "x[bold]y[/bold] <b>z</b>&"
    planned = made("big", registry={"providers": {"a": provider_row({"big": model_id})}})
    assert model_id in str(planned)
    shown = planned._repr_html_()
    assert "<b>z" not in shown
    assert model_id in html.unescape(re.sub(r"</?(pre|span)[^>]*>", "", shown))


def test_a_notebook_shows_the_same_table() -> None:
    planned = made("big")
    shown = planned._repr_html_()
    assert shown.startswith("<pre")
    assert "<script" not in shown
    plain = html.unescape(re.sub(r"<[^>]+>", "", shown))
    assert [line.split() for line in plain.split("\n") if line.strip()] == [
        line.split() for line in str(planned).split("\n") if line.strip()
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
def test_only_entries_that_the_name_asks_for_are_offered(name: str, ids: list[str]) -> None:
    found = {"server": LocalModels(base_url="http://127.0.0.1:1/v1", models=("Big-Instruct",))}
    planned = made(name, registry=SEVERAL)
    assert [route.model_id for route in planned.routes] == ids
    served = made(name, registry=SEVERAL, found=found).routes
    is_plain = name == "big"
    assert ("server" in {route.provider for route in served}) is is_plain


def test_an_entry_past_its_shutdown_is_no_route_even_when_it_is_asked_for() -> None:
    assert reasons(made("a/a-over", registry=SEVERAL)) == {
        "a": "'a-over' was shut down on 2026-11-22"
    }


def test_a_route_names_what_is_there_in_its_place() -> None:
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
    instead = {
        name: made(name, registry=registry).routes[0].replacement
        for name in ("big", "a-dated", "big:x", "old", "alone", "ending")
    }
    assert instead == {
        "big": "a/a-dated", "a-dated": "a/a-big", "big:x": None, "old": "big", "alone": None,
        "ending": None,
    }  # fmt: skip
    for name in filter(None, instead.values()):
        assert made(name, registry=registry).routes, f"{name!r} leads nowhere"
