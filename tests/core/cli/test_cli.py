"""The `autoprovider` command, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inference_providers.cli import registry_commands
from inference_providers.registry.registry import Registry
from inference_providers.testing import FakeProvider, Reply
from inference_providers.updates import private_files

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

COMMAND = str(Path(sys.executable).with_name("autoprovider"))


def run(
    *args: str, env: Mapping[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [COMMAND, *args],
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr."""
    (line,) = done.stderr.splitlines()
    return line


def registry_file(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "registry.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_version_and_help_are_told_in_the_usual_ways() -> None:
    assert run("--version").stdout == f"autoprovider {version('autoprovider')}\n"
    helped = run("--help").stdout
    assert run("-h").stdout == helped
    assert run("registry", "sign", "-h").returncode == 0
    commands = [line.split()[1] for line in helped.splitlines() if re.match(r"│ [a-z]+  ", line)]
    assert commands == [
        "ask", "explain", "models", "providers", "update", "verify", "local", "registry"
    ]  # fmt: skip


def test_it_answers_on_the_embedded_model() -> None:
    done = run("ask", "Hello", "--trace")
    assert done.returncode == 0
    assert len(done.stdout.strip()) > 3
    assert "Answered by embedded" in done.stderr
    assert "No provider has a key" in done.stderr


def test_it_asks_the_provider_whose_key_is_set(tmp_path: Path) -> None:
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


def test_a_row_is_a_line_where_no_terminal_folds_it() -> None:
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


def test_providers_lists_variables_and_closed_ones() -> None:
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
def test_a_wrong_name_is_told_in_one_line(args: list[str], code: int, message: str) -> None:
    done = run(*args)
    assert done.returncode == code
    assert said(done).startswith("autoprovider: ")
    assert message in said(done)


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "GROQ_API_KEY is empty"), ("gsk\nx", "GROQ_API_KEY contains a line break; set it again")],
)
def test_a_faulty_key_is_told(value: str, message: str) -> None:
    done = run("ask", "x", "-m", "groq/gpt-oss-120b", env={"GROQ_API_KEY": value})
    assert done.returncode == 3
    assert message in said(done)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{bad", "not valid JSON"),
        ("[]", "at $: got `array`, expected `object`"),
        ('{"providers": {"x": {"name": 5}}}', "at $.providers.x.name: got `int`, expected `str`"),
    ],
)
def test_a_broken_registry_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = registry_file(tmp_path, content)
    done = run("models", "--registry", path)
    assert done.returncode == 2
    assert said(done).startswith(f"autoprovider: {path}: ")
    assert message in said(done)


def test_an_unreachable_server_is_told(tmp_path: Path) -> None:
    with FakeProvider() as gone:
        path = registry_file(tmp_path, {"providers": {"gone": gone.row({"m": "id"})}})
    done = run("ask", "x", "-m", "gone/m", "--registry", path)
    assert done.returncode == 1
    assert "No route answered, 2 tried: gone/m: overloaded" in said(done)


def test_a_request_a_provider_refuses_is_told_with_its_route(tmp_path: Path) -> None:
    with FakeProvider(Reply(status=400)) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"m": "id"})}})
        done = run("ask", "x", "-m", "fake/m", "--registry", path)
    assert done.returncode == 1
    assert "raised by fake/m as 'id'" in said(done)


def test_no_question_is_told() -> None:
    done = run("ask", "-", stdin="  ")
    assert done.returncode == 2
    assert "there is none" in done.stderr


def test_ctrl_c_ends_a_stream_with_what_came(tmp_path: Path) -> None:
    stays_away = Reply("one two three", cut_after=2, fault="hang")
    with FakeProvider(stays_away) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"m": "id"})}})
        running = subprocess.Popen(
            [COMMAND, "ask", "x", "-m", "fake/m", "--registry", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert running.stdout
        begun = running.stdout.read(1)
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert (begun + out).split() == [b"one"]
    assert err.decode().splitlines() == [
        "autoprovider: interrupted; the answer above is not complete"
    ]


def test_ctrl_c_waits_for_no_provider_that_verify_asks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        endpoint = {"protocol": "openai-chat", "base_url": url}
        row = {
            "name": "Silent",
            "auth": {"any_of": [["S_KEY"]]},
            "endpoints": {"default": endpoint},
        }
        path = registry_file(tmp_path, {"providers": {"silent": row}})
        running = subprocess.Popen(
            [COMMAND, "verify", "silent", "--registry", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "S_KEY": "value-1"},
        )
        silent.settimeout(30)
        asked, _ = silent.accept()
        with asked:
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=8)
    assert (running.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_goes_away_is_no_error() -> None:
    listing = subprocess.Popen(
        [COMMAND, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listing.stdout
    assert listing.stderr
    listing.stdout.close()
    err = listing.stderr.read()
    listing.wait(timeout=120)
    listing.stderr.close()
    assert err == ""


# The registry's registry_commands


def test_stats_count_what_the_registry_knows() -> None:
    out = run("providers", "--stats").stdout
    counts = {
        " ".join(words[:-1]): words[-1] for line in out.splitlines() if (words := line.split())
    }
    registry = Registry.load()
    several = [name for name, listed in registry.models.items() if len(listed) > 1]
    assert counts["providers"] == str(len(registry.providers))
    assert counts["chat models"] == str(len(registry.models))
    assert counts["served by two or more"] == str(len(several))
    assert counts["made on"] == f"{registry.document.generated_at:%Y-%m-%d}"
    assert {"embedding models", "retired models", "retired providers"} <= counts.keys()


def test_the_schema_is_printed() -> None:
    assert json.loads(run("registry", "schema").stdout)["$defs"]["Document"]


def test_check_says_what_a_file_adds_changes_and_removes(tmp_path: Path) -> None:
    alias = next(iter(Registry.load().document.aliases))
    with FakeProvider() as fake:
        own = fake.row({"gpt-oss-120b": "x", "new-model": "y"}, key="OWN_KEY")
    file = {
        "providers": {"own": own, "groq": {"docs": "https://own.test"}},
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
    told = ", model 'm-06', model 'm-07' and 12 more; changes provider 'groq'\n"
    assert run("registry", "check", path).stdout.endswith(told)


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
         "at $.providers.groq.variant_of: got 'grok', no provider; did you mean 'groq'?"),
    ],
)  # fmt: skip
def test_check_tells_what_is_wrong_with_a_file(tmp_path: Path, content: Any, message: str) -> None:
    path = registry_file(tmp_path, content)
    done = run("registry", "check", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said(done).startswith(f"autoprovider: {path}: ")
    assert message in said(done)


def test_a_registry_file_of_the_environment_is_seen_by_every_command(tmp_path: Path) -> None:
    with FakeProvider(Reply("from fake")) as fake:
        path = registry_file(tmp_path, {"providers": {"fake": fake.row({"own-model": "id"})}})
        env = {"AUTOPROVIDER_REGISTRY": path}
        assert run("ask", "Hi", "-m", "own-model", env=env).stdout == "from fake\n"
        for command in (("models",), ("providers",), ("explain", "own-model")):
            assert "fake" in run(*command, env=env).stdout


def test_verify_writes_a_file_that_mends_the_registry(tmp_path: Path) -> None:
    mended = tmp_path / "mended.json"
    with FakeProvider(Reply("from the new one"), models=("org/new-model",)) as fake:
        row = fake.row({"old-model": "old"}, key="F_KEY")
        path = registry_file(tmp_path, {"providers": {"fake": row}})
        env = {"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"}
        done = run("verify", "--write", str(mended), env=env)
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        assert ["fake", "gone", "old-model", "old"] in rows
        assert ["fake", "new", "new-model", "org/new-model"] in rows
        again = run("verify", "fake", "--registry", str(mended), env=env)
        assert "agrees" in again.stdout
        for name in ("new-model", "org/new-model"):
            done = run("ask", "Hi", "-m", name, "--registry", str(mended), env=env)
            assert done.stdout == "from the new one\n"
        assert run("verify", "--write", str(mended), env=env).returncode == 2
    assert "fake-key-value" not in done.stdout + mended.read_text()


def test_verify_says_which_models_stand_in_no_list_it_asked_for(tmp_path: Path) -> None:
    with FakeProvider(models=("m",)) as fake:
        row = fake.row({"here": "m", "there": {"id": "t", "endpoint": "far"}}, key="F_KEY")
        row["endpoints"]["far"] = {"protocol": "made-up", "base_url": "https://far.test"}
        path = registry_file(tmp_path, {"providers": {"fake": row}})
        done = run("verify", env={"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"})
    assert done.returncode == 0, done.stderr
    assert "in part" in done.stdout
    assert "'far'" in done.stdout
    assert "gone" not in done.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["verify"], 3, "No provider can be asked"),
        (["verify", "grok"], 2, "'grok' is not a provider; did you mean 'groq'?"),
        (["verify", "groq"], 2, "groq: set GROQ_API_KEY"),
        (["update"], 2, "URL of one in AUTOPROVIDER_REGISTRY_URL, as --url or as update_url="),
        (["update", "--url", "http://a.test"], 2, "expected an https URL"),
        (["update", "--url", "https://127.0.0.1:9/r"], 1, "127.0.0.1 cannot be reached"),
        (["registry", "sign", "/nowhere.json", "--key", "k", "--output", "o"], 2, "/nowhere.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_registry_commands_that_cannot_be_done_is_told_in_one_line(
    args: list[str], code: int, message: str
) -> None:
    done = run(*args)
    assert done.returncode == code
    assert message in said(done)


@pytest.mark.skipif(os.name != "posix", reason="modes and /dev/stdin are POSIX's")
def test_a_registry_is_signed_out_of_a_pipe_into_a_file_that_may_be_published(
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
    assert "exists already; name another file" in said(run("registry", "sign", *args, stdin=text))


def test_what_a_registry_to_sign_lacks_is_told_in_a_form_that_is_taken(tmp_path: Path) -> None:
    args = ("--key", str(tmp_path / "key.pem"), "--output", str(tmp_path / "signed.json"))
    run("registry", "keygen", args[1])
    done = run("registry", "sign", registry_file(tmp_path, {}), *args)
    assert done.returncode == 2
    assert "at $: got no 'generated_at', expected one such as '" in said(done)
    example = said(done).split("'")[-2]
    file = registry_file(tmp_path, {"generated_at": example})
    assert run("registry", "sign", file, *args).returncode == 0


def test_a_registry_is_not_signed_for_longer_than_dates_reach(tmp_path: Path) -> None:
    file = registry_file(tmp_path, {"generated_at": "2026-11-22T00:00:00Z"})
    key, output = str(tmp_path / "key.pem"), tmp_path / "signed.json"
    run("registry", "keygen", key)
    for days in ("3000000", "99999999999"):
        done = run("registry", "sign", file, "--key", key, "--output", str(output), "--days", days)
        assert done.returncode == 2
        assert "--days" in done.stderr
    assert not output.exists()


def test_a_provider_that_does_not_answer_verify_is_a_failure(tmp_path: Path) -> None:
    with FakeProvider(listens=False) as gone:
        path = registry_file(tmp_path, {"providers": {"gone": gone.row({"m": "x"}, key="F_KEY")}})
        done = run("verify", env={"AUTOPROVIDER_REGISTRY": path, "F_KEY": "fake-key-value"})
    assert done.returncode == 1
    assert "gone: 127.0.0.1 cannot be reached" in done.stderr


def test_an_update_that_cannot_be_kept_is_a_failure(
    tmp_path: Path, site, page, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {**Registry.load().as_dict(), "generated_at": "2026-11-22T00:00:01Z"}
    site.pages["/registry.json"] = page(json.dumps(made).encode())
    (tmp_path / "no-directory").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-directory"))
    done = run("update", "--url", site.url())
    assert done.returncode == 1
    assert "0 more than this package's, 0 gone" in done.stdout
    assert "It is not kept: " in done.stderr.splitlines()[-1]
    assert "cannot be written: Not a directory; free space, or" in done.stderr.splitlines()[-1]


def test_what_another_process_keeps_right_after_it_is_no_failure_of_an_update(
    site, page, caches: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    made = {**Registry.load().as_dict(), "generated_at": "2026-11-22T00:00:01Z"}
    newer = json.dumps({**made, "generated_at": "2026-11-22T00:00:02Z"})
    site.pages["/registry.json"] = page(json.dumps(made).encode())
    replace = private_files.replace

    def overtaken(path: Path, content: bytes) -> None:
        replace(path, content)
        replace(path, json.dumps({"body": newer}).encode())

    monkeypatch.setattr(private_files, "replace", overtaken)
    registry_commands.update_registry(site.url())
    assert "0 more than this package's, 0 gone" in capsys.readouterr().out
    assert len(list(caches.iterdir())) == 2


def test_a_registry_is_signed_published_fetched_and_used(
    tmp_path: Path, site, page, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of `keygen`, `sign`, `update`, and what is used afterwards."""
    key, signed = tmp_path / "key.pem", tmp_path / "signed.json"
    made = Registry.load().as_dict()
    made["generated_at"] = "2026-11-22T00:00:01Z"
    made["providers"]["groq"]["models"]["brand-new"] = "org/brand-new"
    made["providers"]["new"] = {
        "name": "New",
        "endpoints": {"default": {"protocol": "openai-chat", "base_url": "https://api.new.test"}},
        "models": {"brand-new": "x"},
    }
    file = registry_file(tmp_path, made)
    public = run("registry", "keygen", str(key)).stdout.strip()
    done = run(
        "registry", "sign", file, "--key", str(key), "--output", str(signed), "--version", "5"
    )
    assert done.returncode == 0, done.stderr
    assert "Signed as version 5, until " in done.stdout
    site.pages["/registry.json"] = page(signed.read_bytes())
    monkeypatch.setenv("AUTOPROVIDER_REGISTRY_URL", site.url())
    monkeypatch.setenv("AUTOPROVIDER_TRUSTED_KEYS", public)
    assert "brand-new" not in run("models").stdout
    done = run("update")
    assert done.returncode == 0, done.stderr
    assert "1 more than this package's, 0 gone" in done.stdout
    allow = "AUTOPROVIDER_ALLOW_PROVIDERS=new@api.new.test"
    assert f"with the key in NEW_API_KEY: {allow}" in done.stdout
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
