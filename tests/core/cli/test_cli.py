"""The `autoprovider` command, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from inference_providers.cli import registry_commands
from inference_providers.cli.main import app
from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider, Reply
from inference_providers.updates import private_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import click

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("autoprovider"))
HANG_S = 300
"""How long a test waits before it calls a command hung: far longer than a busy machine needs."""


@contextmanager
def started(command: list[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a process group of its own; kill the group in the end."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def run(
    *args: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    with started([COMMAND, *args], {"COLUMNS": "200", **(env or {})}) as process:
        out, err = process.communicate(stdin.encode(), timeout=HANG_S)
    assert b"Traceback" not in err
    return subprocess.CompletedProcess(args, process.returncode, out.decode(), err.decode())


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr."""
    (line,) = done.stderr.splitlines()
    return line


def registry_file(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "registry.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command of the program with its full name."""
    for name, command in group.commands.items():
        yield " ".join([*names, name]), command
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)


def test_every_command_and_parameter_has_help() -> None:
    program = typer.main.get_command(app)
    assert "registry sign" in dict(commands(program))
    for name, command in commands(program):
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), (name, parameter.name)


def test_version_and_help_options_are_the_usual_ones() -> None:
    assert run("--version").stdout == f"autoprovider {version('autoprovider')}\n"
    help_text = run("--help").stdout
    assert run("-h").stdout == help_text
    assert run("registry", "sign", "-h").returncode == 0
    names = [line.split()[1] for line in help_text.splitlines() if re.match(r"│ [a-z]+  ", line)]
    assert names == [
        "ask", "explain", "models", "providers", "update", "verify", "local", "registry"
    ]  # fmt: skip


def test_ask_answers_on_the_embedded_model() -> None:
    done = run("ask", "Hello", "--trace")
    assert done.returncode == 0
    assert len(done.stdout.strip()) > 3
    assert "Answered by embedded" in done.stderr
    assert "No provider has a key" in done.stderr


def test_ask_uses_the_provider_whose_key_is_set(tmp_path: Path) -> None:
    with FakeProvider(Reply("from fake")) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"m": "id"}, key="F_KEY")}})
        done = run(
            "ask", "-", "-m", "m", "--registry", path, env={"F_KEY": "value-1"}, stdin="Why?"
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "from fake\n", "")
    assert fake.requests[0].body["messages"] == [{"role": "user", "content": "Why?"}]


def test_explain_shows_routes_and_reasons_but_no_key() -> None:
    done = run("explain", "gpt-oss-120b", env={"GROQ_API_KEY": "gsk-canary-value"})
    assert done.returncode == 0
    assert "GROQ_API_KEY" in done.stdout
    assert "set TOGETHER_API_KEY" in done.stdout
    assert "gsk-canary-value" not in done.stdout + done.stderr


def test_models_lists_names_with_their_providers() -> None:
    rows = [line.split() for line in run("models").stdout.splitlines()]
    listed = {row[0]: row[1:] for row in rows if row}
    assert "groq," in listed["gpt-oss-120b"]


def test_models_prints_one_line_per_row_in_a_pipe() -> None:
    out = run("models", env={"COLUMNS": ""}).stdout
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    served_by = ", ".join(Registry.load().models["gpt-oss-120b"])
    assert lines["gpt-oss-120b"].split(maxsplit=1)[1].rstrip() == served_by
    assert max(map(len, run("models", env={"COLUMNS": "60"}).stdout.splitlines())) == 60


def test_providers_counts_what_each_serves() -> None:
    out = run("providers").stdout
    registry = Registry.load()
    closed = len(registry.document.retired_providers)
    assert out.startswith(f"{len(registry.providers)} providers, and {closed} that have closed")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    row = registry.providers["voyage"]
    assert not row.models
    assert f"{len(row.embeddings)} embeddings" in lines["voyage"]
    row = registry.providers["openai"]
    assert f"{len(row.models)} models, {len(row.embeddings)} embeddings" in lines["openai"]


def test_providers_lists_variables_and_closed_providers() -> None:
    out = run("providers", env={"GROQ_API_KEY": "gsk-canary-value"}).stdout
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "ready: GROQ_API_KEY" in lines["groq"]
    assert "set OPENAI_API_KEY" in lines["openai"]
    assert "closed" in lines["anyscale"]
    assert "gsk-canary-value" not in out


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["ask", "x", "-m", "gpt-oss-12b"], 2, "Unknown model 'gpt-oss-12b'; did you mean"),
        (["ask", "x", "-m", "codellama-70b"], 2, "'codellama-70b' is retired"),
        (["ask", "x", "-m", "octoai/mixtral-8x7b"], 2, "Provider 'OctoAI' is closed since"),
        (["ask", "x", "-m", "groq/gpt-oss-120b"], 3, "groq: set GROQ_API_KEY"),
        (["ask", "x", "--only", "grok"], 2, "'grok' is not a provider; did you mean 'groq'?"),
        (["explain", "gpt-oss-12b"], 2, "Unknown model 'gpt-oss-12b'"),
        (["models", "--registry", "/nowhere.json"], 2, "/nowhere.json: cannot be read: No such"),
        (["models", "--registry", ""], 2, "'': the path is empty; expected a path, JSON"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_name_is_reported_in_one_line(args: list[str], code: int, message: str) -> None:
    done = run(*args)
    assert done.returncode == code
    assert error_line(done).startswith("autoprovider: ")
    assert message in error_line(done)


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "GROQ_API_KEY is empty"), ("gsk\nx", "GROQ_API_KEY contains a line break; set it again")],
)
def test_invalid_key_is_reported(value: str, message: str) -> None:
    done = run("ask", "x", "-m", "groq/gpt-oss-120b", env={"GROQ_API_KEY": value})
    assert done.returncode == 3
    assert message in error_line(done)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{bad", "not valid JSON"),
        ("[]", "at $: got `array`, expected `object`"),
        ('{"providers": {"x": {"name": 5}}}', "at $.providers.x.name: got `int`, expected `str`"),
    ],
)
def test_invalid_registry_file_is_reported(tmp_path: Path, content: str, message: str) -> None:
    path = registry_file(tmp_path, content)
    done = run("models", "--registry", path)
    assert done.returncode == 2
    assert error_line(done).startswith(f"autoprovider: {path}: ")
    assert message in error_line(done)


def test_unreachable_server_is_reported(tmp_path: Path) -> None:
    with FakeProvider() as gone:
        path = registry_file(tmp_path, {"providers": {"gone": gone.row({"m": "id"})}})
    done = run("ask", "x", "-m", "gone/m", "--registry", path)
    assert done.returncode == 1
    assert "No route answered after 2 attempts: gone/m: overloaded" in error_line(done)


def test_rejected_request_is_reported_with_its_route(tmp_path: Path) -> None:
    with FakeProvider(Reply(status=400)) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"m": "id"})}})
        done = run("ask", "x", "-m", "fake/m", "--registry", path)
    assert done.returncode == 1
    assert "raised by fake/m as 'id'" in error_line(done)


def test_ask_rejects_an_empty_question() -> None:
    done = run("ask", "-", stdin="  ")
    assert done.returncode == 2
    assert error_line(done).startswith("autoprovider: QUESTION is empty; pass a question")


def test_ctrl_c_ends_a_stream_after_what_was_received(tmp_path: Path) -> None:
    with FakeProvider(Reply("one two three", cut_after=2, fault="hang")) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"m": "id"})}})
        command = [COMMAND, "ask", "x", "-m", "fake/m", "--registry", path]
        with started(command, {}) as process:
            assert process.stdout
            first = process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=HANG_S)
    assert process.returncode == 130
    assert (first + out).split() == [b"one"]
    assert err.decode().splitlines() == [
        "autoprovider: interrupted; the answer above is incomplete"
    ]


def test_ctrl_c_ends_verify_while_a_provider_is_silent(tmp_path: Path) -> None:
    patient = "from inference_providers.cli import main, model_lists; model_lists.DEADLINE_S = 1e6"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        row = {
            "name": "Silent",
            "auth": {"any_of": [["S_KEY"]]},
            "endpoints": {
                "default": {
                    "protocol": "openai-chat",
                    "base_url": f"http://127.0.0.1:{silent.getsockname()[1]}/v1",
                }
            },
        }
        path = registry_file(tmp_path, {"providers": {"silent": row}})
        command = [
            sys.executable,
            "-c",
            f"{patient}; main()",
            "verify",
            "silent",
            "--registry",
            path,
        ]
        with started(command, {"S_KEY": "value-1"}) as process:
            silent.settimeout(HANG_S)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=HANG_S)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_command_is_silent_when_its_reader_goes_away() -> None:
    with started([COMMAND, "models"], {}) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        process.wait(timeout=HANG_S)


# Registry commands


def test_stats_count_the_registry() -> None:
    out = run("providers", "--stats").stdout
    counts = {
        " ".join(words[:-1]): words[-1] for line in out.splitlines() if (words := line.split())
    }
    registry = Registry.load()
    several = [name for name, listed in registry.models.items() if len(listed) > 1]
    assert counts["providers"] == str(len(registry.providers))
    assert counts["chat models"] == str(len(registry.models))
    assert counts["served by two or more"] == str(len(several))
    assert counts["generated on"] == f"{registry.document.generated_at:%Y-%m-%d}"
    assert {"embedding models", "retired models", "retired providers"} <= counts.keys()


def test_registry_schema_is_printed() -> None:
    assert json.loads(run("registry", "schema").stdout)["$defs"]["Document"]


def test_check_lists_what_a_file_adds_changes_and_removes(tmp_path: Path) -> None:
    alias = next(iter(Registry.load().document.aliases))
    with FakeProvider() as fake:
        row = fake.row({"gpt-oss-120b": "x", "new-model": "y"}, key="OWN_KEY")
    file = {
        "providers": {"own": row, "groq": {"docs": "https://own.test"}},
        "aliases": {alias: None, "short": "new-model"},
        "auto_model_priority": ["new-model"],
        "retired_providers": {"old": {"note": "Closed."}},
    }
    path = registry_file(tmp_path, file)
    done = run("registry", "check", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{path}: ok; adds provider 'own', model 'new-model', alias 'short',"
        " retired provider 'old'; changes provider 'groq', model 'gpt-oss-120b',"
        f" field 'auto_model_priority'; removes alias {alias!r}\n"
    )
    env = {"AUTOPROVIDER_REGISTRY": path}
    assert run("registry", "check", path, env=env).stdout == done.stdout
    path = registry_file(tmp_path, {"providers": {"grok": None}})
    assert run("registry", "check", path).stdout == f"{path}: ok; changes nothing\n"
    many = {f"m-{n:02}": "x" for n in range(20)}
    path = registry_file(tmp_path, {"providers": {"groq": {"models": many}}})
    ending = ", model 'm-06', model 'm-07' and 12 more; changes provider 'groq'\n"
    assert run("registry", "check", path).stdout.endswith(ending)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON: Expecting value: line 1 column 1 (char 0), at the end of the text"),
        ({"providers": {"groq": {"modles": {}}}}, "did you mean 'models'?"),
        ({"providers": {"groq": {"auth": {"any_of": [["GITHUB_TOKEN"]]}}}}, "another service's"),
        ({"providers": {"groq": {"endpoints": {"default": {"protocol": "openai"}}}}},
         "at $.providers.groq.endpoints.default.protocol: its protocol 'openai' is not supported"),
        ({"aliases": {"fast": "gpt-oss-120c"}},
         "at $.aliases.fast: got 'gpt-oss-120c', which no provider lists; did you mean"),
        ({"auto_model_priority": ["gpt-oss-120b", "gpt-oss-120c"]},
         "at $.auto_model_priority[1]: Unknown model 'gpt-oss-120c'; did you mean"),
        ({"providers": {"groq": {"variant_of": "grok"}}},
         "at $.providers.groq.variant_of: got 'grok', which is not a provider; did you mean"),
    ],
)  # fmt: skip
def test_check_reports_what_is_wrong_with_a_file(
    tmp_path: Path, content: Any, message: str
) -> None:
    path = registry_file(tmp_path, content)
    done = run("registry", "check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert error_line(done).startswith(f"autoprovider: {path}: ")
    assert message in error_line(done)


def test_every_command_reads_the_registry_variable(tmp_path: Path) -> None:
    with FakeProvider(Reply("from fake")) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"own-model": "id"})}})
        env = {"AUTOPROVIDER_REGISTRY": path}
        assert run("ask", "Hi", "-m", "own-model", env=env).stdout == "from fake\n"
        for command in (("models",), ("providers",), ("explain", "own-model")):
            assert "fake" in run(*command, env=env).stdout


def test_verify_writes_corrections_that_agree(tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.json"
    with FakeProvider(Reply("from the new one"), models=("org/new-model",)) as fake:
        row = fake.row({"old-model": "old"}, key="F_KEY")
        path = registry_file(tmp_path, {"providers": {"fake": row}})
        env = {"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"}
        done = run("verify", "--write", str(corrected), env=env)
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        assert ["fake", "gone", "old-model", "old"] in rows
        assert ["fake", "new", "new-model", "org/new-model"] in rows
        again = run("verify", "fake", "--registry", str(corrected), env=env)
        assert "agrees" in again.stdout
        for name in ("new-model", "org/new-model"):
            done = run("ask", "Hi", "-m", name, "--registry", str(corrected), env=env)
            assert done.stdout == "from the new one\n"
        assert run("verify", "--write", str(corrected), env=env).returncode == 2
    assert "fake-key-value" not in done.stdout + corrected.read_text()


def test_verify_reports_endpoints_without_a_list(tmp_path: Path) -> None:
    with FakeProvider(models=("m",)) as fake:
        row = fake.row({"here": "m", "there": {"id": "t", "endpoint": "far"}}, key="F_KEY")
        row["endpoints"]["far"] = {"protocol": "made-up", "base_url": "https://far.test"}
        path = registry_file(tmp_path, {"providers": {"fake": row}})
        done = run("verify", env={"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"})
    assert done.returncode == 0, done.stderr
    assert "partial" in done.stdout
    assert "'far'" in done.stdout
    assert "gone" not in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["verify"], 3, "No provider key is set"),
        (["verify", "grok"], 2, "'grok' is not a provider; did you mean 'groq'?"),
        (["verify", "groq"], 2, "groq: set GROQ_API_KEY"),
        (["update"], 2, "URL of one in AUTOPROVIDER_REGISTRY_URL, or pass it as --url or"),
        (["update", "--url", "http://a.test"], 2, "expected an https URL"),
        (["update", "--url", "https://127.0.0.1:9/r"], 1, "127.0.0.1 cannot be reached"),
        (["registry", "sign", "/nowhere.json", "--key", "k", "--output", "o"], 2, "/nowhere.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_failed_registry_command_is_reported_in_one_line(
    args: list[str], code: int, message: str
) -> None:
    done = run(*args)
    assert done.returncode == code
    assert message in error_line(done)


@pytest.mark.skipif(os.name != "posix", reason="modes and /dev/stdin are POSIX's")
def test_sign_reads_a_pipe_and_writes_a_public_file(
    tmp_path: Path,
) -> None:
    key, output = tmp_path / "key.pem", tmp_path / "signed.json"
    run("registry", "keygen", str(key))
    text = json.dumps({"generated_at": "2026-11-22T00:00:00Z", "aliases": {"a": "b"}})
    args = ("/dev/stdin", "--key", str(key), "--output", str(output))
    done = run("registry", "sign", *args, stdin=text)
    assert done.returncode == 0, done.stderr
    assert json.loads(json.loads(output.read_text())["signed"])["registry"] == json.loads(text)
    (tmp_path / "plain").touch()
    assert output.stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert key.stat().st_mode & 0o777 == 0o600
    assert "already exists; choose another name" in error_line(
        run("registry", "sign", *args, stdin=text)
    )


def test_sign_suggests_a_generated_at_that_it_accepts(tmp_path: Path) -> None:
    args = ("--key", str(tmp_path / "key.pem"), "--output", str(tmp_path / "signed.json"))
    run("registry", "keygen", args[1])
    done = run("registry", "sign", registry_file(tmp_path, {}), *args)
    assert done.returncode == 2
    assert "at $: 'generated_at' is missing; add a time such as '" in error_line(done)
    example = error_line(done).split("'")[-2]
    file = registry_file(tmp_path, {"generated_at": example})
    assert run("registry", "sign", file, *args).returncode == 0


def test_sign_limits_days_to_what_dates_can_hold(tmp_path: Path) -> None:
    file = registry_file(tmp_path, {"generated_at": "2026-11-22T00:00:00Z"})
    key, output = str(tmp_path / "key.pem"), tmp_path / "signed.json"
    run("registry", "keygen", key)
    for days in ("3000000", "99999999999"):
        done = run("registry", "sign", file, "--key", key, "--output", str(output), "--days", days)
        assert done.returncode == 2
        assert "--days" in done.stderr
    assert not output.exists()


def test_verify_fails_if_no_provider_answers(tmp_path: Path) -> None:
    with FakeProvider(listens=False) as gone:
        path = registry_file(tmp_path, {"providers": {"gone": gone.row({"m": "x"}, key="F_KEY")}})
        done = run("verify", env={"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"})
    assert done.returncode == 1
    assert "gone: 127.0.0.1 cannot be reached" in done.stderr


def test_update_fails_if_it_cannot_be_saved(
    tmp_path: Path, site, page, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {**Registry.load().as_dict(), "generated_at": "2026-11-22T00:00:01Z"}
    site.pages["/registry.json"] = page(json.dumps(document).encode())
    (tmp_path / "no-directory").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-directory"))
    done = run("update", "--url", site.url())
    assert done.returncode == 1
    assert "adds 0 to the bundled registry and removes 0" in done.stdout
    assert "The registry was not saved: " in done.stderr.splitlines()[-1]
    assert "cannot be written: Not a directory; free disk space or" in done.stderr.splitlines()[-1]


def test_update_succeeds_if_another_process_saves_a_newer_one(
    site, page, caches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    document = {**Registry.load().as_dict(), "generated_at": "2026-11-22T00:00:01Z"}
    newer = json.dumps({**document, "generated_at": "2026-11-22T00:00:02Z"})
    site.pages["/registry.json"] = page(json.dumps(document).encode())
    replace = private_files.replace

    def overtake(path: Path, content: bytes) -> None:
        replace(path, content)
        replace(path, json.dumps({"body": newer}).encode())

    monkeypatch.setattr(private_files, "replace", overtake)
    registry_commands.update_registry(site.url())
    assert "adds 0 to the bundled registry and removes 0" in capsys.readouterr().out
    assert len(list(caches.iterdir())) == 2


def test_registry_is_signed_published_fetched_and_used(
    tmp_path: Path, site, page, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of `keygen`, `sign`, `update`, and what is used afterwards."""
    key, signed = tmp_path / "key.pem", tmp_path / "signed.json"
    document = Registry.load().as_dict()
    document["generated_at"] = "2026-11-22T00:00:01Z"
    document["providers"]["groq"]["models"]["brand-new"] = "org/brand-new"
    document["providers"]["new"] = {
        "name": "New",
        "endpoints": {"default": {"protocol": "openai-chat", "base_url": "https://api.new.test"}},
        "models": {"brand-new": "x"},
    }
    file = registry_file(tmp_path, document)
    public = run("registry", "keygen", str(key)).stdout.strip()
    done = run(
        "registry", "sign", file, "--key", str(key), "--output", str(signed), "--version", "5"
    )
    assert done.returncode == 0, done.stderr
    assert "Signed as version 5, valid until " in done.stdout
    site.pages["/registry.json"] = page(signed.read_bytes())
    monkeypatch.setenv("AUTOPROVIDER_REGISTRY_URL", site.url())
    monkeypatch.setenv("AUTOPROVIDER_TRUSTED_KEYS", public)
    assert "brand-new" not in run("models").stdout
    done = run("update")
    assert done.returncode == 0, done.stderr
    assert "adds 1 to the bundled registry and removes 0" in done.stdout
    allow = "AUTOPROVIDER_ALLOW_PROVIDERS=new@api.new.test"
    assert f"with the key in NEW_API_KEY, set {allow}" in done.stdout
    assert "set GROQ_API_KEY" in run("explain", "brand-new").stdout
    monkeypatch.setenv(*allow.split("="))
    assert "set NEW_API_KEY" in run("explain", "brand-new").stdout
    other = run("registry", "keygen", str(tmp_path / "other.pem")).stdout.strip()
    monkeypatch.setenv("AUTOPROVIDER_TRUSTED_KEYS", other)
    assert run("update").returncode == 1
    assert "no trusted key has signed it" in run("update").stderr
    assert "brand-new" not in run("models").stdout
    private = key.read_text().splitlines()[1]
    assert private not in done.stdout + done.stderr + signed.read_text()
    assert len(list(caches.iterdir())) == 2
