"""A key goes to its own origins only, and is shown nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import traceback
from itertools import permutations
from urllib.parse import urlsplit

import pytest
from msgspec import structs

import factories
from inference_providers.credentials import Key, Keys, UrlOrigin, is_loopback, template_variables
from inference_providers.errors import ConfigError, KeyBindingError
from inference_providers.registry.registry import Registry
from inference_providers.routing.resolver import Resolver
from inference_providers.types import (
    ON_THIS_MACHINE,
    Auth,
    Endpoint,
    Provider,
    Selection,
)

SECRET = "sk-canary-0123456789"


def provider(*any_of: tuple[str, ...], url: str = "https://api.test/v1") -> Provider:
    endpoint = Endpoint(protocol="openai-chat", base_url=url)
    return Provider(name="P", auth=Auth(any_of=any_of), endpoints={"default": endpoint})


def key(*urls: str) -> Key:
    return Key("P_API_KEY", SECRET, urls or ("https://api.test/v1",))


# Binding to origins


@pytest.mark.parametrize(
    "url",
    [
        "https://api.test",
        "https://api.test/v1/chat?x=1",
        "https://API.TEST/v1",
        "https://api.test:443/v1",
        "https://user:pw@api.test/v1",
    ],
)
def test_value_for_gives_a_key_to_its_own_origin(url: str) -> None:
    assert key().value_for(url) == SECRET


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/v1",
        "https://api.test:8443/v1",
        "https://api.test.evil.test/v1",
        "https://evil-api.test/v1",
        "https://sub.api.test/v1",
        "https://test/v1",
        "https://api.test@evil.test/v1",
        "https://api.test:pw@evil.test/",
        "https://evil.test/api.test",
        "https://evil.test?https://api.test",
        "https://evil.test#api.test",
        "https://evil.test\\@api.test.evil.test",
        "https://169.254.169.254/latest",
        "https://127.0.0.1/v1",
        "https:///api.test",
        "https:api.test",
        "https://api.test:x/v1",
        "https://api.test:0/v1",
        "api.test",
        "",
    ],
)
def test_value_for_refuses_another_origin(url: str) -> None:
    with pytest.raises(KeyBindingError, match=r"P_API_KEY belongs to api\.test") as caught:
        key().value_for(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://api.test/v1", "ftp://api.test", "//api.test", "HTTP://api.test"]
)
def test_value_for_refuses_an_unencrypted_url(url: str) -> None:
    with pytest.raises(KeyBindingError, match="unencrypted; use an https URL"):
        key().value_for(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_value_for_needs_no_tls_on_this_machine(host: str) -> None:
    bound = key(f"http://{host}:8080/v1")
    assert bound.value_for(f"http://{host}:8080/v1/chat") == SECRET
    with pytest.raises(KeyBindingError, match=r"P_API_KEY belongs to .*:8080 and is not sent to"):
        bound.value_for(f"http://{host}:8081/v1")


def test_value_for_gives_a_key_to_the_port_of_its_url() -> None:
    bound = key("https://api.test:8443/v1")
    assert bound.value_for("https://api.test:8443/v1") == SECRET
    with pytest.raises(KeyBindingError, match=r"belongs to api\.test:8443 and is not sent to 'api"):
        bound.value_for("https://api.test/v1")


@pytest.mark.parametrize("url", ["http://api.test/v1", "http://gpu.lan:8000/v1"])
def test_value_for_refuses_plain_http_even_to_its_own_origin(url: str) -> None:
    with pytest.raises(KeyBindingError, match="unencrypted; use an https URL"):
        key(url).value_for(url)


def test_value_for_refuses_every_url_for_a_key_without_urls() -> None:
    with pytest.raises(KeyBindingError, match="belongs to no host"):
        Key("K", SECRET, ()).value_for("https://api.test")


def test_no_bundled_key_goes_to_another_providers_host() -> None:
    registry = Registry.load()
    remote = {p: row for p, row in registry.providers.items() if row.kind not in ON_THIS_MACHINE}
    values = {p: f"sk-canary-of-{p}" for p in remote}
    urls = {p: [e.base_url for e in row.endpoints.values()] for p, row in remote.items()}
    filled_in = {
        name: "own"
        for of_one in urls.values()
        for url in of_one
        for name in template_variables(url)
    }
    resolver = Resolver(Selection(), registry, Keys(values, environ=filled_in), lambda _: {})
    urls = {p: [re.sub(r"\{\w+\}", "own", url) for url in of_one] for p, of_one in urls.items()}
    hosts = {p: {urlsplit(url).hostname for url in of_one} for p, of_one in urls.items()}
    keys = {}
    for provider_id, row in remote.items():
        for endpoint in row.endpoints.values():
            route = structs.replace(factories.route(provider_id), endpoint=endpoint)
            access = resolver.access(route)
            assert access.key.value_for(access.base_url) == values[provider_id]
            keys[provider_id] = access.key
    assert len(keys) >= 10
    for owner, other in permutations(remote, 2):
        for url in urls[other]:
            if urlsplit(url).hostname in hosts[owner]:
                continue
            with pytest.raises(KeyBindingError):
                keys[owner].value_for(url)
    owners: dict[str, set[str]] = {}
    for provider_id, row in remote.items():
        for host in hosts[provider_id]:
            owners.setdefault(host, set()).add(row.variant_of or provider_id)
    assert [host for host, by in owners.items() if len(by) > 1] == [], "a host is shared"


# Masking


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda k: f"{k}",
        lambda k: f"{k!r:>60}",
        lambda k: f"{k:>60}",
        "{}".format,
        lambda k: "%s %r" % (k, k),  # noqa: UP031 - an old way of formatting, but still one
        lambda k: json.dumps([k], default=str),
        lambda k: repr({"key": [k]}),
        lambda k: str(dir(k)),
    ],
)
def test_key_masks_itself_wherever_it_is_shown(show) -> None:
    shown = show(key())
    assert SECRET not in shown
    assert SECRET[:8] not in shown


def test_key_has_no_dict() -> None:
    with pytest.raises(TypeError):
        vars(key())


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_key_is_not_pickled_or_copied(copier) -> None:
    with pytest.raises(TypeError, match="P_API_KEY cannot be pickled; set it in") as caught:
        copier(key())
    assert SECRET not in str(caught.value)


def test_keys_show_their_providers_and_no_value() -> None:
    keys = Keys({"groq": SECRET}, environ={"A": SECRET})
    assert repr(keys) == "Keys(given=['groq'])"
    for value in (vars(keys), *vars(keys).values()):
        assert SECRET not in repr(value)
        assert not hasattr(value, "__dict__")


def test_key_is_masked_in_logs(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("x").warning("using %s and %r", key(), key())
    assert "P_API_KEY" in caplog.text
    assert SECRET not in caplog.text


def test_fingerprint_distinguishes_values_and_reveals_none() -> None:
    one, same, other = key(), Key("OTHER", SECRET, ()), Key("P_API_KEY", SECRET + "x", ())
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.fingerprint not in SECRET


# Scrubbing


def test_scrub_replaces_a_key_in_a_text() -> None:
    assert key().scrub(f"bad key {SECRET}, {SECRET}!") == "bad key [P_API_KEY], [P_API_KEY]!"
    assert key().scrub("nothing here") == "nothing here"


def test_scrub_leaves_a_very_short_value() -> None:
    assert Key("K", "test", ()).scrub("test the tests") == "test the tests"


class ProviderError(Exception):
    def __init__(self, message: str, body: object) -> None:
        super().__init__(message)
        self.message = message
        self.body = body


class ComputedMessageError(Exception):
    @property
    def message(self) -> str:
        return self.args[0]


def chained(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return an exception as raised from `cause` while another was handled."""
    error.__context__ = KeyError(SECRET)
    error.__cause__ = cause
    error.__suppress_context__ = cause is not None
    return error


@pytest.mark.parametrize(
    "error",
    [
        chained(ValueError(f"key {SECRET}", 5, [SECRET])),
        chained(ProviderError(f"401: {SECRET}", {"error": {"m": [f"Bearer {SECRET}"], SECRET: 1}})),
        chained(ProviderError("401", f"<html>{SECRET}</html>")),
        chained(ProviderError("401", [{"error": SECRET}])),
        chained(ValueError("outer"), cause=ProviderError(f"cause {SECRET}", {"k": SECRET})),
        chained(ValueError("outer"), cause=chained(ValueError("mid"), cause=ValueError(SECRET))),
        chained(ExceptionGroup("group", [ValueError(SECRET), ProviderError("x", {"a": SECRET})])),
        chained(ComputedMessageError(f"key {SECRET}")),
    ],
)
def test_scrub_error_covers_causes_contexts_and_bodies(error: BaseException) -> None:
    error.add_note(f"a note with {SECRET}")
    printed = "".join(traceback.format_exception(error))
    assert SECRET in printed
    key().scrub_error(error)
    printed = "".join(traceback.format_exception(error))
    assert SECRET not in printed
    assert "[P_API_KEY]" in printed
    link = error
    while link is not None:
        assert SECRET not in repr(link) + str(getattr(link, "body", ""))
        assert SECRET not in repr(link.__context__)
        link = link.__cause__


def test_scrub_error_ends_where_causes_form_a_cycle() -> None:
    one, two = ValueError(SECRET), ValueError(SECRET)
    one.__cause__, two.__cause__ = two, one
    key().scrub_error(one)
    assert (str(one), str(two)) == ("[P_API_KEY]", "[P_API_KEY]")


def test_scrub_error_leaves_values_that_are_not_text() -> None:
    body = {"n": 5, "ok": None, "list": [1.5, True]}
    error = ProviderError("m", body)
    key().scrub_error(error)
    assert error.body == body


# Which variable holds a key


@pytest.mark.parametrize(
    ("any_of", "environ", "variable"),
    [
        ([("A",)], {"A": SECRET}, "A"),
        ([("A",), ("B",)], {"B": SECRET}, "B"),
        ([("A",), ("B",)], {"A": "k-a", "B": "k-b"}, "A"),
        ([("A",), ("B",)], {"A": "", "B": "k-b"}, "B"),
        ([("A",), ("B",)], {"A": "bad key", "B": "k-b"}, "B"),
        ([("A",), ()], {"A": "k-a"}, "A"),
        ([("A",), ()], {}, None),
        ([()], {"A": "k-a"}, None),
        ([("ID", "KEY")], {"ID": "i", "KEY": "k"}, "KEY"),
    ],
)
def test_variable_is_of_the_first_complete_alternative(
    any_of: list, environ: dict, variable: str | None
) -> None:
    assert Keys(environ=environ).variable("p", provider(*any_of)) == (variable, None)


@pytest.mark.parametrize(
    ("any_of", "environ", "reason"),
    [
        ([("A",)], {}, "set A"),
        ([("A",), ("B",)], {}, "set A"),
        ([("A", "B")], {"A": "x"}, "set A and B"),
        ([("A",)], {"A": ""}, "A is empty; set it to a key, or unset it"),
        ([("A",)], {"A": "k\n"}, "A contains a line break; set it again without it"),
        ([("A",)], {"A": "k\r\nX-Evil: 1"}, "A contains a line break; set it again without it"),
        ([("A",)], {"A": " k"}, "A contains whitespace or a non-ASCII character"),
        ([("A",)], {"A": "k k"}, "A contains whitespace"),
        ([("A",)], {"A": "\t"}, "A contains whitespace"),
        ([("A",)], {"A": "schlüssel"}, "A contains whitespace or a non-ASCII character"),
        ([("A",)], {"A": "k\x00"}, "a non-ASCII character"),
        ([("A",)], {"A": "“quoted”"}, "a non-ASCII character"),
        ([("A",)], {"A": "\udcff"}, "a non-ASCII character"),
        (
            [("A",), ("B",)],
            {"A": "", "B": " "},
            "A is empty; set it to a key, or unset it; B contains",
        ),
        ([("A", "B")], {"A": "x", "B": ""}, "B is empty"),
    ],
)
def test_variable_says_what_to_do_about_a_faulty_key(
    any_of: list, environ: dict, reason: str
) -> None:
    keys = Keys(environ=environ)
    variable, message = keys.variable("p", provider(*any_of))
    assert variable is None
    assert reason in message
    with pytest.raises(ConfigError, match=r"^p: ") as caught:
        keys.key("p", provider(*any_of), ["https://api.test"])
    assert message in str(caught.value)


@pytest.mark.parametrize("url", ["https://{ID}.test/v1", "https://api.test/{ID}/v1"])
@pytest.mark.parametrize("names", [("ID", "KEY"), ("KEY", "ID")])
def test_variable_is_the_one_that_no_url_contains(url: str, names: tuple[str, str]) -> None:
    keys = Keys(environ={"ID": "account", "KEY": SECRET})
    assert keys.variable("p", provider(names, url=url)) == ("KEY", None)


def test_variable_may_be_one_that_the_url_contains() -> None:
    keys = Keys(environ={"ID": "account"})
    assert keys.variable("p", provider(("ID",), url="https://{ID}.test/v1")) == ("ID", None)


def test_given_key_takes_precedence_over_the_environment() -> None:
    keys = Keys({"p": SECRET}, environ={"A": "from-environment"})
    assert keys.variable("p", provider(("A",))) == ("api_keys['p']", None)
    assert (
        keys.key("p", provider(("A",)), ["https://api.test"]).value_for("https://api.test")
        == SECRET
    )
    assert keys.key("q", provider(("A",)), ["https://api.test"]).variable == "A"
    assert keys.given == ("p",)


@pytest.mark.parametrize("value", ["", " ", "k\n", "k k", "ü"])
def test_keys_refuse_a_faulty_given_key_at_once(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^api_keys\['p'\] (is empty|contains)"):
        Keys({"p": value}, environ={})


def test_key_is_read_when_it_is_used() -> None:
    environ: dict[str, str] = {}
    keys = Keys(environ=environ)
    assert keys.variable("p", provider(("A",)))[1] == "set A"
    environ["A"] = SECRET
    assert (
        keys.key("p", provider(("A",)), ["https://api.test"]).value_for("https://api.test")
        == SECRET
    )
    environ["A"] = "another"
    assert (
        keys.key("p", provider(("A",)), ["https://api.test"]).value_for("https://api.test")
        == "another"
    )


def test_keys_read_the_process_environment_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P_TEST_KEY", SECRET)
    assert Keys().variable("p", provider(("P_TEST_KEY",))) == ("P_TEST_KEY", None)


def test_key_is_none_for_a_provider_without_keys() -> None:
    assert Keys(environ={}).key("p", provider(()), ["https://api.test"]) is None


def test_setting_is_the_first_variable_that_is_not_empty() -> None:
    keys = Keys(environ={"A": " ", "B": " host ", "C": "c"})
    assert keys.setting("X", "A", "B", "C") == "host"
    assert keys.setting("X", "A") is None


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("localhost.evil.test", False),
        ("127.0.0.1.evil.test", False),
        ("2130706433", False),
        ("api.test", False),
        ("", False),
    ],
)
def test_is_loopback_only_for_names_of_this_machine(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer


# Origins and templates


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://API.test/v1", "api.test"),
        ("https://api.test:443", "api.test"),
        ("https://api.test:8443/v1", "api.test:8443"),
        ("http://127.0.0.1:80/v1", "127.0.0.1"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
        ("https://user:pw@api.test/", "api.test"),
    ],
)
def test_url_origin_shows_host_and_unusual_port(url: str, shown: str) -> None:
    assert str(UrlOrigin.of(url)) == shown


@pytest.mark.parametrize("url", ["", "api.test", "https://", "https://a.test:x", "http://[::1"])
def test_url_origin_is_none_without_host_and_port(url: str) -> None:
    assert UrlOrigin.of(url) is None


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://api.test", True),
        ("http://api.test", False),
        ("http://localhost:1", True),
        ("ftp://api.test", False),
        ("http://192.168.1.5", False),
    ],
)
def test_url_origin_is_secure_over_tls_or_on_this_machine(url: str, secure: bool) -> None:
    origin = UrlOrigin.of(url)
    assert origin is not None
    assert origin.is_secure is secure


def test_fill_returns_a_url_without_placeholders_as_it_is() -> None:
    assert Keys(environ={}).fill("https://api.test/v1", model_id="m") == "https://api.test/v1"


def test_fill_names_every_variable_that_is_unset() -> None:
    with pytest.raises(ConfigError, match=r"^set ONE and TWO$"):
        Keys(environ={"TWO": " "}).fill("https://{ONE}.test/{TWO}/{model_id}", model_id="m")


# The environment as a whole


def test_environment_state_changes_with_every_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys()
    states = [keys.environment_state()]
    monkeypatch.setenv("P_TEST_KEY", "one")
    states.append(keys.environment_state())
    monkeypatch.setenv("P_TEST_KEY", "two")
    states.append(keys.environment_state())
    monkeypatch.delenv("P_TEST_KEY")
    assert len(set(states)) == 3
    assert keys.environment_state() == states[0]


def test_environment_state_sees_a_value_move_to_another_variable() -> None:
    assert (
        Keys(environ={"A": "k"}).environment_state() != Keys(environ={"B": "k"}).environment_state()
    )
