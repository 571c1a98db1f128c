"""Azure and Vertex AI: OpenAI's protocol at a URL with variables, and a token as the key."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from inference_providers import AllRoutesFailed, ProviderList
from inference_providers.testing import FakeProvider, Reply
from langchain_autoprovider import AutoChatModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN: dict[str, Any] = {
    "access_token": "ya29-token-value",
    "expires_in": 3600,
    "token_type": "Bearer",
}


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider(Reply("from a cloud")) as provider:
        yield provider


def registry(protocol: str, base_url: str, variables: list[str]) -> dict[str, Any]:
    row = {
        "name": "Cloud",
        "kind": "cloud",
        "auth": {"any_of": [variables], "opt_in": False},
        "endpoints": {"default": {"protocol": protocol, "base_url": base_url}},
        "models": {"m-1": "my-deployment"},
    }
    # The id is that of the bundled row, so that the same variables may be read.
    return {"providers": {protocol: row}}


def origin(fake: FakeProvider) -> str:
    return fake.base_url.removesuffix("/v1")


async def test_azure_answers_at_the_url_of_its_resource(
    fake: FakeProvider, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_RESOURCE_NAME", "my-resource")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key-value")
    for name in ("AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/bait")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-01-01")
    url = origin(fake) + "/{AZURE_RESOURCE_NAME}/openai/v1/"
    variables = ["AZURE_RESOURCE_NAME", "AZURE_OPENAI_API_KEY"]
    model = AutoChatModel("m-1", registry=registry("azure", url, variables))
    answer = await ask(model, "Hi")
    assert answer.text == "from a cloud"
    (request,) = fake.requests
    assert request.path == "/my-resource/openai/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer azure-key-value"
    assert request.body["model"] == "my-deployment"


class Tokens:
    """Google's token server: its response, and the paths that were requested."""

    def __init__(self) -> None:
        self.status, self.body = 200, TOKEN
        self.paths: list[str] = []
        self.url = ""


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    tokens = Tokens()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            tokens.paths.append(self.path)
            self.send_response(tokens.status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(tokens.body).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tokens.url = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield tokens
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def credentials(tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service account's credentials file, whose tokens come from `tokens`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key": pem.decode(),
        "client_email": "someone@my-project.test",
        "token_uri": tokens.url,
    }
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-project")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "global")
    return path


def vertex_registry(fake: FakeProvider) -> dict[str, Any]:
    location = "projects/{GOOGLE_CLOUD_PROJECT}/locations/{GOOGLE_CLOUD_LOCATION}"
    variables = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "GOOGLE_CLOUD_LOCATION",
    ]
    return registry("vertex", f"{origin(fake)}/v1/{location}/endpoints/openapi", variables)


@pytest.mark.usefixtures("credentials")
async def test_vertex_sends_a_token_for_the_credentials_file(
    fake: FakeProvider, tokens: Tokens, ask: Callable[..., Any]
) -> None:
    model = AutoChatModel("m-1", registry=vertex_registry(fake))
    assert model.routes[0].key_variable == "GOOGLE_APPLICATION_CREDENTIALS"
    for _ in range(2):
        answer = await ask(model, "Hi")
        assert answer.text == "from a cloud"
    first, second = fake.requests
    path = "/v1/projects/my-project/locations/global/endpoints/openapi/chat/completions"
    assert first.path == path
    assert first.headers["authorization"] == "Bearer ya29-token-value"
    assert second.headers["authorization"] == first.headers["authorization"]
    assert tokens.paths == ["/token"]
    assert "credentials.json" not in str(fake.requests)


@pytest.mark.usefixtures("credentials")
def test_vertex_plain_client_is_openais(fake: FakeProvider) -> None:
    client, model_id = ProviderList(json_merge=vertex_registry(fake)).connect_to_model("m-1")
    messages: Any = [{"role": "user", "content": "Hi"}]
    answer = client.chat.completions.create(model=model_id, messages=messages)
    assert answer.choices[0].message.content == "from a cloud"


async def test_vertex_credentials_that_google_rejects_fail_as_a_key(
    fake: FakeProvider, tokens: Tokens, credentials: Path, ask: Callable[..., Any]
) -> None:
    tokens.status, tokens.body = 400, {"error": "invalid_grant"}
    with pytest.raises(AllRoutesFailed, match="check GOOGLE_APPLICATION_CREDENTIALS") as caught:
        await ask(AutoChatModel("m-1", registry=vertex_registry(fake)), "Hi")
    assert caught.value.attempts[-1].failure_class == "auth_failed"
    assert str(credentials) not in str(caught.value)
    assert not fake.requests


@pytest.mark.parametrize("text", [None, "not JSON", '{"type": "external_account"}', '{"type": 1}'])
def test_vertex_credentials_that_cannot_load_fail_as_a_key(
    fake: FakeProvider, credentials: Path, text: str | None
) -> None:
    credentials.unlink()
    if text:
        credentials.write_text(text)
    with pytest.raises(AllRoutesFailed, match="auth_failed") as caught:
        AutoChatModel("m-1", registry=vertex_registry(fake)).invoke("Hi")
    assert str(credentials) not in str(caught.value)
