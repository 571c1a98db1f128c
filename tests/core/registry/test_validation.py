"""What a user's file must not do, and the message if it does."""

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


def merged(provider: dict, provider_id: str = "ours") -> Registry:
    return Registry.load().merged({"providers": {provider_id: provider}})


@pytest.mark.parametrize(
    "name",
    ["OURS_API_KEY", "OURS_KEY", "HF_TOKEN", "OURS_PAT", "ours_api_key", "AWS_BEARER_TOKEN_BEDROCK",
     "KEYLESS_KEY", "OCTOAI_TOKEN"],
)  # fmt: skip
def test_variable_made_for_a_key_is_accepted(name: str) -> None:
    assert "ours" in merged(row((name,))).providers
    assert is_key_name(name) is (not name.startswith("AWS_"))


@pytest.mark.parametrize(
    "name",
    ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
     "SSH_PRIVATE_KEY", "SSH_AUTH_SOCK", "DATABASE_URL", "DATABASE_KEY", "DB_KEY", "PG_TOKEN",
     "NPM_TOKEN", "PYPI_TOKEN", "VAULT_TOKEN", "STRIPE_SECRET_KEY", "SLACK_BOT_TOKEN",
     "DJANGO_SECRET_KEY", "SECRET_KEY", "JWT_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
     "AZURE_CLIENT_SECRET", "KUBE_TOKEN", "DOCKER_TOKEN", "aws_secret_access_key"],
)  # fmt: skip
def test_variable_of_another_service_is_refused(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row((name,)))
    assert str(caught.value).startswith("the given registry: at $.providers.ours.auth.any_of: got ")
    got = repr(name) if name.isupper() else "a value that is not shown (it may be a key)"
    assert f"got {got}, expected a variable made for this provider" in str(caught.value)
    assert not is_key_name(name)


@pytest.mark.parametrize("name", ["HOME", "PATH", "OURS_PASSWORD", "USER", "OURS"])
def test_variable_not_named_like_a_key_is_refused(name: str) -> None:
    with pytest.raises(RegistryError, match="expected a name that ends in KEY, TOKEN or PAT"):
        merged(row((name,)))


def test_variable_of_the_bundled_row_needs_no_permission() -> None:
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
def test_key_instead_of_its_variable_is_not_quoted(key: str) -> None:
    for names in ((key,), ("OURS_API_KEY", key)):
        with pytest.raises(RegistryError, match=r"any_of: got a value that is not shown") as caught:
            merged(row(names))
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "OURS_API_KEY", "A B", "sk-canary"])
def test_variable_of_base_url_env_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(endpoint={"base_url_env": [name]}))
    assert "at $.providers.ours.endpoints.default.base_url_env: got " in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
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
def test_name_complaints_refuse_what_cannot_be_typed(fields: dict, message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(**fields))
    assert f"at $.providers.ours.{message}" in str(caught.value)


def test_name_complaints_accept_unusual_spellings() -> None:
    names = {"My Model": "x", "a/b": "x:y", "a@b": "@cf/x", "\u00e4": ["a b", "c"]}
    assert merged(row(models=names)).providers["ours"].models.keys() == names.keys()


def test_row_without_an_endpoint_is_refused() -> None:
    with pytest.raises(RegistryError) as caught:
        merged(row(endpoints={}))
    assert "ours.endpoints: got none, expected one named 'default'" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
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
def test_base_url_that_is_not_safe_is_refused(url: str, message: str) -> None:
    with pytest.raises(RegistryError, match=message) as caught:
        merged(row(("OURS_API_KEY",), url=url))
    assert "$.providers.ours.endpoints" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://u:canary@a.test/v1", "https://a.test/v1?key=canary", "http://canary@a.test"]
)
def test_redacted_url_hides_a_secret(url: str) -> None:
    with pytest.raises(RegistryError, match=r"base_url: got 'https?://.*…") as caught:
        merged(row(("OURS_API_KEY",), url=url))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://10.0.0.1/v1",
     "https://{OURS_ACCOUNT_ID}.a.test/v1", "https://{OURS_HOST}:{OURS_PORT}/~me/x@1:y%20z/", "https://x.{AWS_REGION}.a.test/v1"],
)  # fmt: skip
def test_base_url_on_this_machine_or_over_tls_is_accepted(url: str) -> None:
    assert "ours" in merged(row(("OURS_API_KEY",), url=url)).providers


def test_base_url_of_a_keyless_local_server_may_be_anywhere() -> None:
    assert "ours" in merged(row(url="http://10.0.0.1:8000/v1", kind="local")).providers
    with pytest.raises(RegistryError, match="kind 'local' without a key"):
        merged(row(("OURS_API_KEY",), url="http://10.0.0.1:8000/v1", kind="local"))


def test_models_path_cannot_become_part_of_the_host() -> None:
    with pytest.raises(RegistryError, match=r"models_path: got '\.evil\.test/models'"):
        merged(row(endpoint={"models_path": ".evil.test/models"}))


def test_embedding_with_an_unknown_endpoint_is_refused() -> None:
    wrong = {"e": {"id": "x", "endpoint": "eu"}}
    with pytest.raises(RegistryError, match=r"\$\.providers\.ours\.embeddings\.e: got endpoint"):
        merged(row(embeddings=wrong))


@pytest.mark.parametrize(
    "fields", [{"accepts_any_model": True}, {"kind": "local"}, {"kind": "embedded"}]
)
@pytest.mark.parametrize("name", ["main", None])
def test_provider_of_unlisted_models_needs_a_default_endpoint(
    fields: dict, name: str | None
) -> None:
    endpoint = {"protocol": "openai-chat", "base_url": "https://a.test/v1"}
    provider = row(**fields, models={}, endpoints={name: endpoint} if name else {})
    with pytest.raises(RegistryError) as caught:
        merged(provider)
    got = repr(name) if name else "none"
    assert f"$.providers.ours.endpoints: got {got}, expected one named 'default'" in str(
        caught.value
    )


@pytest.mark.parametrize("kind", ["models", "embeddings"])
def test_model_without_an_entry_is_refused(kind: str) -> None:
    with pytest.raises(RegistryError, match=rf"ours\.{kind}\.e: got no entry, expected one; null"):
        merged(row(**{kind: {"e": []}}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"providers": {"a": 1, "a": 2}}', "duplicate key 'a'"),
        ('{"aliases": {"a": NaN}}', "'NaN' is not a valid JSON number"),
        ('{"providers":' * 50_000, "nested more than 16"),
    ],
)
def test_ambiguous_json_is_refused(text: str, message: str) -> None:
    for read in (Registry.load, Registry.load().merged):
        with pytest.raises(RegistryError, match=message):
            read(text)


def test_file_may_name_its_schema() -> None:
    file = {"$schema": "./providers.schema.json", "providers": {"ours": row()}}
    assert "ours" in Registry.load().merged(file).providers


# Variables in URLs


CLOUD = "https://api.cloud.test/{CLOUD_ACCOUNT_ID}/v1"


def plan_of(environ: dict, given: dict | None = None):
    registry = Registry.load({"providers": {"cloud": row(("CLOUD_API_KEY",), url=CLOUD)}})
    keys = Keys(given, environ=environ)
    return Resolver(Selection(models=("m",)), registry, keys, lambda _: {}).plan()


def test_unset_variable_of_a_base_url_skips_the_provider() -> None:
    for given in (None, {"cloud": "given-key"}):
        plan = plan_of({"CLOUD_API_KEY": "k"}, given)
        assert plan.routes == ()
        assert [skip.reason for skip in plan.skipped] == ["set CLOUD_ACCOUNT_ID"]
    (route,) = plan_of({"CLOUD_API_KEY": "k", "CLOUD_ACCOUNT_ID": "acc"}).routes
    assert route.key_variable == "CLOUD_API_KEY"


@pytest.mark.parametrize("region", ["evil.test/", "evil.test#", "x@evil.test", "a\\b", "a?b"])
def test_variable_in_a_base_url_cannot_change_its_host(region: str) -> None:
    rows = {"cloud": row(("CLOUD_API_KEY",), url="https://{CLOUD_REGION}.cloud.test/v1")}
    environ = {"CLOUD_API_KEY": "k", "CLOUD_REGION": region}
    registry = Registry.load({"providers": rows})
    resolver = Resolver(Selection(models=("m",)), registry, Keys(environ=environ), lambda _: {})
    with pytest.raises(Exception, match=r"which is outside '\.cloud\.test'"):
        resolver.access(resolver.plan().routes[0])
