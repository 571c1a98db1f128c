"""A newer registry is fetched, checked and cached; the last good one is the fallback."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from factories import provider_row
from inference_providers.credentials import Keys
from inference_providers.errors import ConfigError, FetchError, UpdateError
from inference_providers.registry import loader
from inference_providers.updates import signatures, updater
from inference_providers.updates.updater import Update, UpdateSource

if TYPE_CHECKING:
    from pathlib import Path

    from inference_providers.registry.loader import Document

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def negative_price() -> dict[str, Any]:
    value = registry()
    value["providers"]["a"]["models"]["m-0"] = {"id": "x", "cost": {"in": -1, "out": 1}}
    return value


def registry(day: int = 20, models: int = 4, **fields: Any) -> dict[str, Any]:
    row = provider_row({f"m-{n}": f"id-{n}" for n in range(models)}, "A_KEY")
    date = f"2026-11-{day:02}T00:00:00Z"
    return {"generated_at": date, "providers": {"a": row}, **fields}


def document(value: dict[str, Any]) -> Document:
    return loader.decode_document(json.dumps(value).encode(), "it")[0]


WHEEL = document(registry(day=10))


def as_bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


class Feed:
    """One URL and what is fetched from it."""

    def __init__(self, site, page) -> None:
        self.site = site
        self.page = page
        self.source = UpdateSource(site.url())

    def shows(self, content: dict[str, Any] | bytes, **page: Any) -> None:
        body = content if isinstance(content, bytes) else as_bytes(content)
        self.site.pages["/registry.json"] = self.page(body, **page)

    def fetch(self, now: datetime = NOW) -> Update:
        return updater.fetch_update(self.source, WHEEL, now=now)

    def cached(self, now: datetime = NOW) -> Update | None:
        return updater.cached_update(self.source, WHEEL, now=now)

    @property
    def file(self) -> Path:
        return updater.cache_file(self.source)


@pytest.fixture
def feed(site, page, caches) -> Feed:
    del caches
    return Feed(site, page)


def day(update: Update | None) -> int | None:
    return update.document.generated_at.day if update else None


def test_fetch_update_caches_a_newer_registry(feed: Feed, caches: Path) -> None:
    assert feed.cached() is None
    feed.shows(registry(models=5))
    assert day(feed.fetch()) == 20
    assert len(feed.cached().document.providers["a"].models) == 5
    assert feed.file.parent == caches
    assert (caches.stat().st_mode & 0o777, feed.file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_fetch_update_sends_the_etag(feed: Feed) -> None:
    def page(headers: dict[str, str]):
        if headers.get("if-none-match") == '"v1"':
            return feed.page(b"", 304)
        return feed.page(as_bytes(registry()), headers={"ETag": '"v1"'})

    feed.site.pages["/registry.json"] = page
    assert day(feed.fetch()) == day(feed.fetch()) == 20
    etags = [request.headers.get("if-none-match") for request in feed.site.requests]
    assert etags == [None, '"v1"']


@pytest.mark.parametrize(
    ("wheel", "now"),
    [(registry(day=10, models=50), NOW), (registry(day=10), NOW - timedelta(days=5))],
    ids=["the package lists far more models", "the clock was set back"],
)
def test_fetch_update_sends_no_etag_if_the_cache_is_unusable(
    feed: Feed, wheel: dict, now: datetime
) -> None:
    feed.shows(registry(day=20), headers={"ETag": '"v1"'})
    feed.fetch()
    assert updater.cached_update(feed.source, document(wheel), now=now) is None
    with pytest.raises(UpdateError):
        updater.fetch_update(feed.source, document(wheel), now=now)
    assert "if-none-match" not in feed.site.requests[1].headers


def test_fetch_update_refuses_304_without_a_cache(feed: Feed) -> None:
    feed.shows(b"", status=304)
    with pytest.raises(FetchError, match="responded with HTTP 304"):
        feed.fetch()


def test_fetch_update_does_not_send_a_malformed_etag(feed: Feed) -> None:
    feed.shows(registry(), headers={"ETag": "x y"})
    feed.fetch()
    feed.fetch()
    assert "if-none-match" not in feed.site.requests[1].headers


def test_cache_file_is_separate_for_each_url(feed: Feed) -> None:
    feed.shows(registry())
    feed.fetch()
    other = UpdateSource(feed.site.url("/other.json"))
    assert updater.cached_update(other, WHEEL, now=NOW) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "the file is malformed"),
        (b"[]", "expected `object`"),
        (b'{"a": 1, "a": 1}', "duplicate key"),
        (as_bytes({**registry(), "unknown": 1}), "unknown"),
        (as_bytes(registry(generated_at=None)), "has no date"),
        (as_bytes(registry(day=9)), "older than the registry of this package, 2026-11-10"),
        (as_bytes(registry(day=24)), "2026-11-24, is in the future"),
        (as_bytes(registry(models=1)), "it lists 1 models; the registry of this package lists 4"),
        (as_bytes(registry(schema_version=2)), "schema_version: got 2"),
        (as_bytes(negative_price()), r"m-0\.cost\.in: got -1, expected `float` >= 0"),
        (b'{"providers":' * 100_000, "nested more than 16"),
        (b"{" + b" " * updater.MAX_BYTES + b"}", "more than 2,097,152 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_fetch_update_refuses_a_faulty_registry(feed: Feed, content: bytes, message: str) -> None:
    feed.shows(registry(day=15))
    feed.fetch()
    feed.shows(content)
    with pytest.raises((UpdateError, FetchError), match=message):
        feed.fetch()
    assert day(feed.cached()) == 15


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({"status": 500}, "responded with HTTP 500"),
        ({"status": 404}, "responded with HTTP 404"),
        ({"endless": True}, "more than 2,097,152 bytes"),
        ({"headers": {"Content-Encoding": "gzip"}}, "sent a compressed body"),
        (
            {"status": 302, "headers": {"Location": "https://localhost/x"}},
            "redirects to another host",
        ),
        ({"status": 302, "headers": {"Location": "/registry.json"}}, "redirects more than 2 times"),
    ],
    ids=str,
)
def test_fetch_update_refuses_a_faulty_response(feed: Feed, response: dict, message: str) -> None:
    feed.shows(gzip.compress(as_bytes(registry())), **response)
    with pytest.raises(FetchError, match=message):
        feed.fetch()
    assert feed.cached() is None


@pytest.mark.slow
def test_fetch_update_ends_at_the_deadline(feed: Feed, monkeypatch) -> None:
    monkeypatch.setattr(updater, "DEADLINE_S", 2.0)
    feed.shows(registry(), drip_s=0.05)
    with pytest.raises(FetchError, match="within 2 s"):
        feed.fetch()


def test_fetch_update_follows_a_redirect_on_the_same_host(feed: Feed) -> None:
    feed.shows(b"", status=302, headers={"Location": "/current.json"})
    feed.site.pages["/current.json"] = feed.page(as_bytes(registry()))
    assert day(feed.fetch()) == 20


def test_fetch_update_refuses_an_older_registry(feed: Feed) -> None:
    feed.shows(registry(day=20))
    feed.fetch()
    feed.shows(registry(day=19))
    with pytest.raises(
        UpdateError, match=r"it is from 2026-11-19 .*; the cached one is from 2026-11-20"
    ):
        feed.fetch()
    assert day(feed.cached()) == 20


def test_cached_update_older_than_the_package_is_silent(feed: Feed, caplog) -> None:
    feed.shows(registry(day=15))
    feed.fetch()
    assert updater.cached_update(feed.source, document(registry(day=16)), now=NOW) is None
    assert caplog.records == []


# The cache


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\x00\xff",
        b"[" * 1_000_000,
        b'{"body": "{}"}',
        json.dumps({"body": json.dumps(registry(day=30))}).encode(),
        json.dumps({"body": json.dumps(registry(models=0))}).encode(),
        b'{"body": 5}',
        b"x" * (3 * updater.MAX_BYTES + 1),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_cached_update_ignores_a_poisoned_cache(feed: Feed, poison: bytes, caplog) -> None:
    feed.shows(registry())
    feed.fetch()
    feed.file.write_bytes(poison)
    assert feed.cached() is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"The cached registry {feed.file} is not used: ")
    if b'"2026-11-30' not in poison:  # only a newer registry would replace that one
        assert day(feed.fetch()) == 20
        assert day(feed.cached()) == 20


def test_cached_update_warns_once(feed: Feed, caplog) -> None:
    feed.shows(registry())
    feed.fetch()
    feed.file.unlink()
    feed.file.mkdir()
    assert feed.cached() is feed.cached() is None
    assert feed.fetch().cache_error == f"{feed.file} cannot be written: Is a directory"
    (record,) = caplog.records
    assert record.getMessage() == f"The cached registry {feed.file} is not used: Is a directory"


def test_cached_update_does_not_follow_a_link(feed: Feed, tmp_path: Path, caplog) -> None:
    feed.shows(registry())
    feed.fetch()
    elsewhere = tmp_path / "elsewhere"
    feed.file.rename(elsewhere)
    before = elsewhere.read_bytes()
    feed.file.symlink_to(elsewhere)
    assert feed.cached() is None
    assert "symbolic links" in caplog.text
    feed.shows(registry(day=21))
    feed.fetch()
    assert day(feed.cached()) == 21
    assert elsewhere.read_bytes() == before


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_cached_update_ignores_a_directory_open_to_others(feed: Feed, mode: int, caplog) -> None:
    feed.shows(registry())
    feed.fetch()
    feed.file.parent.chmod(mode)
    assert feed.cached() is None
    assert "others may write to it" in caplog.text


@pytest.mark.parametrize("place", ["a file", "/proc"])
def test_fetch_update_works_without_a_writable_cache(
    feed: Feed, place: str, tmp_path: Path, monkeypatch
) -> None:
    home = tmp_path / "file"
    home.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home) if place == "a file" else place)
    feed.shows(registry())
    new = feed.fetch()
    assert day(new) == 20
    assert new.cache_error
    assert new.cache_error.startswith(f"{feed.file} cannot be written: ")


CHILD = """
import json, resource, sys
from datetime import UTC, datetime
from inference_providers.updates import private_files
from inference_providers.registry import loader
from inference_providers.updates import updater
private_files.LOCK_WAIT_S = updater.DEADLINE_S = 120.0  # machines may be busy
url, wheel, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
trusted, _ = loader.decode_document(wheel.encode(), "it")
source = updater.UpdateSource(url)
for _ in range(1 if limit else 10):
    try:
        new = updater.fetch_update(source, trusted, now=datetime(2026, 11, 22, 12, tzinfo=UTC))
        print(new.document.generated_at.day)
        print(new.cache_error or "", end="", file=sys.stderr)
    except updater.UpdateError as error:
        print("older" if "the cached one" in str(error) else error)
"""


def children(feed: Feed, count: int, limit: int = 0) -> list[tuple[str, str]]:
    command = [sys.executable, "-c", CHILD, feed.source.url, json.dumps(registry(day=10))]
    running = [
        subprocess.Popen(
            [*command, str(limit)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    return [process.communicate(timeout=120) for process in running]


def test_fetch_update_on_a_full_disk_keeps_the_last_cache(feed: Feed) -> None:
    feed.shows(registry(day=15))
    feed.fetch()
    feed.shows(registry(day=20, models=50))
    ((out, err),) = children(feed, 1, limit=500)
    assert out == "20\n"
    assert "cannot be written: File too large" in err
    assert day(feed.cached()) == 15
    assert {file.name for file in feed.file.parent.iterdir()} == {".lock", feed.file.name}


@pytest.mark.slow
def test_fetch_update_in_many_processes_keeps_the_newest(feed: Feed) -> None:
    """The server sends registries of different days, so older ones arrive after newer ones."""
    days = [12, 20, 14, 18, 11, 16]

    def page(_: dict[str, str]):
        return feed.page(as_bytes(registry(day=days[len(feed.site.requests) % len(days)])))

    feed.site.pages["/registry.json"] = page
    for out, err in children(feed, 3):
        assert err == ""
        assert set(out.split()) <= {"older", *map(str, days)}
    assert day(feed.cached()) == 20
    assert {file.name for file in feed.file.parent.iterdir()} == {".lock", feed.file.name}


# Signed


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "signing-key.pem"
    return path, signatures.keygen(path)


def signed(content: dict, key: Path, version: int = 1, days: int = 1) -> bytes:
    expires = NOW + timedelta(days=days)
    return signatures.sign(as_bytes(content), key, version=version, expires=expires)


@pytest.fixture
def trusting(feed: Feed, key: tuple[Path, str]) -> Feed:
    feed.source = feed.source._replace(trusted_keys=(key[1],))
    return feed


def test_fetch_update_accepts_a_signed_registry(trusting: Feed, key) -> None:
    trusting.shows(signed(registry(), key[0], version=7))
    assert trusting.fetch().version == 7
    assert trusting.cached().version == 7


@pytest.mark.parametrize(
    ("version", "message"), [(6, "its version is 6; the cached one's is 7"), (7, None), (8, None)]
)
def test_fetch_update_refuses_a_lower_version(
    trusting: Feed, key, version: int, message: str | None
) -> None:
    trusting.shows(signed(registry(day=12), key[0], version=7))
    trusting.fetch()
    trusting.shows(signed(registry(day=20), key[0], version=version))
    if message:
        with pytest.raises(UpdateError, match=message):
            trusting.fetch()
        assert trusting.cached().version == 7
    else:
        assert trusting.fetch().version == version


def test_fetch_update_refuses_a_lower_version_after_expiry(trusting: Feed, key) -> None:
    trusting.shows(signed(registry(), key[0], version=7, days=1))
    trusting.fetch()
    trusting.shows(signed(registry(), key[0], version=6, days=30))
    with pytest.raises(UpdateError, match="its version is 6; the cached one's is 7"):
        trusting.fetch(now=NOW + timedelta(days=5))


def test_fetch_update_refuses_an_unsigned_registry(trusting: Feed) -> None:
    trusting.shows(registry())
    with pytest.raises(UpdateError, match="it is not signed"):
        trusting.fetch()


def test_expired_registry_is_refused_from_the_cache_too(trusting: Feed, key, caplog) -> None:
    trusting.shows(signed(registry(), key[0], days=1))
    trusting.fetch()
    later = NOW + timedelta(days=1)
    assert trusting.cached(now=later) is None
    assert "it expired on 2026-11-23" in caplog.text
    with pytest.raises(UpdateError, match="it expired"):
        trusting.fetch(now=later)


def test_cached_update_verifies_the_signature_again(trusting: Feed, key, caplog) -> None:
    trusting.shows(signed(registry(), key[0]))
    trusting.fetch()
    entry = json.loads(trusting.file.read_bytes())
    entry["body"] = entry["body"].replace("m-0", "m-x")
    trusting.file.write_bytes(json.dumps(entry).encode())
    assert trusting.cached() is None
    assert "no trusted key has signed it" in caplog.text


def test_fetch_update_ignores_versions_of_an_untrusted_key(
    trusting: Feed, key, tmp_path: Path
) -> None:
    """This is the way out after a stolen key signed the highest version."""
    trusting.shows(signed(registry(), key[0], version=signatures.MAX_VERSION))
    trusting.fetch()
    next_key = tmp_path / "next.pem"
    trusting.source = trusting.source._replace(trusted_keys=(signatures.keygen(next_key),))
    assert trusting.cached() is None
    trusting.shows(signed(registry(), next_key, version=1))
    assert trusting.fetch().version == 1


def test_fetch_update_reads_a_signed_registry_without_keys(feed: Feed, key) -> None:
    feed.shows(signed(registry(), key[0], version=3))
    assert day(feed.fetch()) == 20


def test_fetch_update_ignores_an_unverified_version(feed: Feed, key) -> None:
    """Anybody can sign, so the highest version would block every later registry."""
    feed.shows(signed(registry(day=20), key[0], version=signatures.MAX_VERSION))
    feed.fetch()
    feed.shows(registry(day=21))
    assert day(feed.fetch()) == 21


# Settings


def test_update_source_reads_the_environment(key) -> None:
    keys = Keys(
        environ={
            updater.URL_VARIABLE: "https://own.test/r.json",
            updater.KEYS_VARIABLE: f" {key[1]} ,",
            updater.ALLOW_VARIABLE: "new@api.new.test,other@api.other.test",
        }
    )
    allowed = (("new", "api.new.test"), ("other", "api.other.test"))
    assert updater.update_source(keys) == UpdateSource(
        "https://own.test/r.json", (key[1],), allowed
    )
    given = updater.update_source(keys, url="https://x.test/y", trusted_keys=(), allow_providers=())
    assert given == UpdateSource("https://x.test/y")
    assert updater.update_source(Keys(environ={})) is None


@pytest.mark.parametrize(
    "url",
    ["http://own.test/r", "own.test/r", "https://", "https://[x", "https://own.test:x/r",
     "https://u:canary@own.test", "https://u:c/canary@own.test/r", "http://own.test/?key=canary"],
)  # fmt: skip
def test_update_source_refuses_a_url_without_quoting_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match="expected an https URL") as caught:
        updater.update_source(Keys(environ={updater.URL_VARIABLE: url}))
    assert "canary" not in str(caught.value)


def test_cached_update_logs_one_line(feed: Feed, caplog) -> None:
    feed.shows(registry())
    feed.fetch()
    feed.file.write_bytes(b'{"body": "' + rb"\n\n\n" + b'"}')
    with caplog.at_level(logging.DEBUG, "inference_providers"):
        feed.cached()
    (record,) = [r for r in caplog.records if r.name.startswith("inference_providers")]
    assert "\n" not in record.getMessage()


EVIL = "\x1b]0;Evil\x07\nERROR forged\u2028line\u202e"


@pytest.mark.parametrize(
    "content",
    [
        registry(providers={EVIL: 5}),
        registry(providers={EVIL: registry()["providers"]["a"]}),
        {**registry(), EVIL: 1},
        {"signed": "", "signatures": [], EVIL: 1},
        {**registry(), "schema_version": EVIL},
    ],
    ids=["type", "rule", "field", "envelope", "value"],
)
def test_fetch_update_error_is_printable_and_one_line(feed: Feed, content: dict) -> None:
    feed.shows(content)
    with pytest.raises(UpdateError) as caught:
        feed.fetch()
    assert str(caught.value).isprintable()


def test_fetch_update_does_not_change_its_arguments(feed: Feed) -> None:
    before = copy.deepcopy(WHEEL)
    feed.shows(registry(models=9))
    feed.fetch()
    assert before == WHEEL
