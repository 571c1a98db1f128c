"""What a user's file may not do, and what it is told."""

from __future__ import annotations

import pytest

from inference_providers.credentials import Keys
from inference_providers.errors import RegistryError
from inference_providers.registry.registry import Registry
from inference_providers.registry.validation import is_key_name
from inference_providers.routing.resolver import Resolver
from inference_providers.types import Selection


def row(*any_of: tuple[str, ...], url: str = "https://a.test/v1", **fields) -> dict:
    endpoint = {"protocol": "openai-chat", "base_url": url, **fields.pop("endpoint", {})}
    return {
        "name": "A",
        "auth": {"any_of": [list(names) for names in any_of or ((),)]},
        "endpoints": {"default": endpoint},
        "models": {"m": "x"},
        **fields,
    }


def merged(provider: dict, provider_id: str = "own") -> Registry:
    return Registry.load().merged({"providers": {provider_id: provider}})


@pytest.mark.parametrize(
    "name",
    ["OURS_API_KEY", "OURS_KEY", "HF_TOKEN", "OURS_PAT", "ours_api_key", "AWS_BEARER_TOKEN_BEDROCK",
     "KEYLESS_KEY", "OCTOAI_TOKEN"],
)  # fmt: skip
def test_a_variable_made_for_a_key_passes(name: str) -> None:
    assert "own" in merged(row((name,))).providers
    assert is_key_name(name) is (not name.startswith("AWS_"))


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
     "SSH_PRIVATE_KEY", "SSH_AUTH_SOCK", "DATABASE_URL", "DATABASE_KEY", "DB_KEY", "PG_TOKEN",
     "NPM_TOKEN", "PYPI_TOKEN", "VAULT_TOKEN", "STRIPE_SECRET_KEY", "SLACK_BOT_TOKEN",
     "DJANGO_SECRET_KEY", "SECRET_KEY", "JWT_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
     "AZURE_CLIENT_SECRET", "KUBE_TOKEN", "DOCKER_TOKEN", "aws_secret_access_key"],
)  # fmt: skip
def test_a_variable_of_another_service_is_refused(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row((name,)))
    assert str(caught.value).startswith("the given registry: at $.providers.own.auth.any_of: got ")
    got = repr(name) if name.isupper() else "a value that is not shown (it may be a key)"
    assert f"got {got}, expected a variable made for this provider" in str(caught.value)
    assert not is_key_name(name)


@pytest.mark.parametrize("name", ["HOME", "PATH", "OURS_PASSWORD", "USER", "OURS"])
def test_a_variable_that_is_not_named_as_a_key_is_refused(name: str) -> None:
    with pytest.raises(RegistryError, match="expected a name that ends in KEY, TOKEN or PAT"):
        merged(row((name,)))


def test_what_the_bundled_row_reads_needs_no_permission_in_a_file_over_it() -> None:
    bundled = Registry.load()
    provider = next(p for p, r in bundled.providers.items() if r.auth.any_of[0])
    variable = bundled.providers[provider].auth.any_of[0][0]
    assert merged({"models": {"own-model": "x"}}, provider).models["own-model"] == (provider,)
    whole = bundled.as_dict()
    assert Registry.load(whole).document == bundled.document
    assert variable


@pytest.mark.parametrize(
    "key",
    ["gsk_canary0123", "hf_canary", "github_pat_canary", "canary0123", "sk-canary", "a canary"],
)
def test_a_key_in_the_place_of_its_variable_is_not_quoted(key: str) -> None:
    for names in ((key,), ("OURS_API_KEY", key)):
        with pytest.raises(RegistryError, match=r"any_of: got a value that is not shown") as caught:
            merged(row(names))
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "OURS_API_KEY", "A B", "sk-canary"])
def test_a_variable_of_an_address_is_told_with_its_place(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(endpoint={"base_url_env": [name]}))
    assert "at $.providers.own.endpoints.default.base_url_env: got " in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"models": {"": "x"}}, "models: model name ''"),
        ({"models": {" m": "x"}}, "models: model name ' m'"),
        ({"models": {"m\x1b[31m": "x"}}, "models: model name 'm\\x1b[31m'"),
        ({"models": {"m": ""}}, "models.m: model id ''"),
        ({"models": {"m": "x\n"}}, "models.m: model id 'x\\n'"),
        ({"models": {"m": {"id": " x"}}}, "models.m: model id ' x'"),
        ({"models": {"m": ["a", {"id": ""}]}}, "models.m: model id ''"),
        ({"embeddings": {"m": ""}}, "embeddings.m: model id ''"),
    ],
)
def test_a_model_has_a_name_and_an_id_that_can_be_typed(fields: dict, said: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(**fields))
    assert f"at $.providers.own.{said}" in str(caught.value)


def test_names_and_ids_of_all_providers_spelling_pass() -> None:
    names = {"My Model": "x", "a/b": "x:y", "a@b": "@cf/x", "\u00e4": ["a b", "c"]}
    assert merged(row(models=names)).providers["own"].models.keys() == names.keys()


def test_a_row_without_an_endpoint_is_told_so() -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(endpoints={}))
    assert "own.endpoints: got none, expected one named 'default'" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://{OURS_API_KEY}.a.test/v1", "must not contain a secret"),
        ("https://a.test/{OURS_SECRET}", "must not contain a secret"),
        ("https://a.test/{DB_PASSWORD}", "another service's"),
        ("https://a.test/{AWS_ACCESS_KEY_ID}", "another service's"),
        ("http://a.test/v1", "expected an https URL"),
        ("http://10.0.0.1/v1", "expected an https URL"),
        ("http://169.254.169.254/v1", "expected an https URL"),
        ("http://localhost.evil.test/v1", "expected an https URL"),
        ("https://u:p@a.test/v1", "without user name"),
        ("https://a.test/v1?x=1", r"without user name, '\?'"),
        ("https://a.test/v1#x", "without user name"),
        ("https://[x/v1", "an http"),
        ("https://a.test:99999/v1", "with a valid host and port"),
        ("https://a.test:x/v1", "with a valid host and port"),
        ("https://a.test:0/v1", "with a valid host and port"),
        ("https://:443/v1", "with a valid host and port"),
        ("https://a b.test/v1", "an http"),
        ("https://a.test/v1 ", "an http"),
        ("https://a.test/v1\n", "an http"),
        ("https://a.test/{OURS_ACCOUNT", "an http"),
        ("https://a.test/{OURS ACCOUNT}/v1", "an http"),
        ("https://\u00e4.test/v1", "an http"),
        ("https://api.openai\u2024com/v1", "an http"),
    ],
)
def test_a_url_that_is_not_safe_is_refused(url: str, said: str) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        merged(row(("OURS_API_KEY",), url=url))
    assert "$.providers.own.endpoints" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://u:canary@a.test/v1", "https://a.test/v1?key=canary", "http://canary@a.test"]
)
def test_a_secret_in_a_url_is_not_quoted(url: str) -> None:
    with pytest.raises(RegistryError, match=r"base_url: got 'https?://.*…") as caught:
        merged(row(("OURS_API_KEY",), url=url))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://10.0.0.1/v1",
     "https://{OURS_ACCOUNT_ID}.a.test/v1", "https://{OURS_HOST}:{OURS_PORT}/~me/x@1:y%20z/", "https://x.{AWS_REGION}.a.test/v1"],
)  # fmt: skip
def test_a_url_on_this_machine_or_over_tls_passes(url: str) -> None:
    assert "own" in merged(row(("OURS_API_KEY",), url=url)).providers


def test_a_local_server_without_a_key_may_be_anywhere_in_the_users_network() -> None:
    assert "own" in merged(row(url="http://10.0.0.1:8000/v1", kind="local")).providers
    with pytest.raises(RegistryError, match="kind 'local' without a key"):
        merged(row(("OURS_API_KEY",), url="http://10.0.0.1:8000/v1", kind="local"))


def test_a_path_of_models_cannot_become_part_of_the_host() -> None:
    with pytest.raises(RegistryError, match=r"models_path: got '\.evil\.test/models'"):
        merged(row(endpoint={"models_path": ".evil.test/models"}))


def test_an_embedding_names_an_endpoint_that_is_there() -> None:
    wrong = {"e": {"id": "x", "endpoint": "eu"}}
    with pytest.raises(RegistryError, match=r"\$\.providers\.own\.embeddings\.e: got endpoint"):
        merged(row(embeddings=wrong))


@pytest.mark.parametrize(
    "fields", [{"accepts_any_model": True}, {"kind": "local"}, {"kind": "embedded"}]
)
@pytest.mark.parametrize("name", ["main", None])
def test_models_that_no_file_lists_need_an_endpoint_that_no_file_names(
    fields: dict, name: str | None
) -> None:
    endpoint = {"protocol": "openai-chat", "base_url": "https://a.test/v1"}
    provider = row(**fields, models={}, endpoints={name: endpoint} if name else {})
    with pytest.raises(RegistryError) as caught:
        merged(provider)
    got = repr(name) if name else "none"
    assert f"$.providers.own.endpoints: got {got}, expected one named 'default'" in str(
        caught.value
    )


@pytest.mark.parametrize("kind", ["models", "embeddings"])
def test_a_model_without_an_entry_is_told(kind: str) -> None:
    with pytest.raises(RegistryError, match=rf"own\.{kind}\.e: got no entry, expected one; null"):
        merged(row(**{kind: {"e": []}}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"providers": {"a": 1, "a": 2}}', "duplicate key 'a'"),
        ('{"aliases": {"a": NaN}}', "'NaN' is not a valid JSON number"),
        ('{"providers":' * 50_000, "nested more than 16"),
    ],
)
def test_a_file_that_could_be_read_in_two_ways_is_refused(text: str, said: str) -> None:
    for read in (Registry.load, Registry.load().merged):
        with pytest.raises(RegistryError, match=said):
            read(text)


def test_a_file_may_name_its_schema() -> None:
    file = {"$schema": "./providers.schema.json", "providers": {"own": row()}}
    assert "own" in Registry.load().merged(file).providers


# Variables in URLs


CLOUD = "https://api.cloud.test/{CLOUD_ACCOUNT_ID}/v1"


def plan_of(environ: dict, given: dict | None = None):
    registry = Registry.load({"providers": {"cloud": row(("CLOUD_API_KEY",), url=CLOUD)}})
    keys = Keys(given, environ=environ)
    return Resolver(Selection(models=("m",)), registry, keys, lambda _: {}).plan()


def test_a_variable_of_a_url_that_is_not_set_is_the_reason_to_skip() -> None:
    for given in (None, {"cloud": "given-key"}):
        made = plan_of({"CLOUD_API_KEY": "k"}, given)
        assert made.routes == ()
        assert [skip.reason for skip in made.skipped] == ["set CLOUD_ACCOUNT_ID"]
    (route,) = plan_of({"CLOUD_API_KEY": "k", "CLOUD_ACCOUNT_ID": "acc"}).routes
    assert route.key_variable == "CLOUD_API_KEY"


@pytest.mark.parametrize("region", ["evil.test/", "evil.test#", "x@evil.test", "a\\b", "a?b"])
def test_no_value_in_a_url_moves_its_host(region: str) -> None:
    rows = {"cloud": row(("CLOUD_API_KEY",), url="https://{CLOUD_REGION}.cloud.test/v1")}
    environ = {"CLOUD_API_KEY": "k", "CLOUD_REGION": region}
    registry = Registry.load({"providers": rows})
    made = Resolver(Selection(models=("m",)), registry, Keys(environ=environ), lambda _: {})
    with pytest.raises(Exception, match=r"which is outside '\.cloud\.test'"):
        made.access(made.plan().routes[0])
