r"""A scriptable provider on loopback, to test how your code handles a failing provider.

```python
with FakeProvider(Reply(status=429), Reply("hello")) as fake:
    registry = {"providers": {"fake": fake.row({"mixtral-8x7b": "m"})}}
    AutoChatModel("fake/mixtral-8x7b", registry=registry).invoke("Hi")
    fake.requests[0].body["messages"]
```
It is a real HTTP server, so SDKs, streams and broken connections behave as in production.

| a provider that … | script |
|---|---|
| fails with any status, body and headers | `Reply(status=429, headers={"retry-after": "7"})` |
| refuses to answer | `Reply(refusal="I cannot help with that.")` |
| is down | `FakeProvider(listens=False)` |
| accepts the connection and never answers | `Reply(fault="hang")` |
| resets the connection | `Reply(fault="reset")` |
| is slow to start, or between chunks | `Reply(delay_s=9)`, `Reply(chunk_delay_s=9)` |
| stalls in the middle of a stream | `Reply("a b c", cut_after=3, fault="hang")` |
| ends a stream too early | `Reply("a b c", cut_after=3)` |
| breaks the connection in the middle | `Reply("a b c", cut_after=3, fault="close")` |
| breaks off inside a tool call | `Reply(tool_calls=(…,), argument_chunks=4, cut_after=9)` |
| sends an error inside a stream | `Reply("a b c", cut_after=3, at_cut={"error": {…}})` |
| sends an empty stream | `Reply(cut_after=0, at_cut="data: [DONE]\n\n")` |
| sends HTML, or half of its JSON | `Reply(body="<html>")`, `Reply(body='{"id')` |
| sends bytes that are not text | `Reply(body=b"\xff")`, `Reply(cut_after=1, at_cut=b"\xff")` |
| sends keep-alives and nothing else | `Reply(keep_alive_s=math.inf)` |
| never stops sending | `Reply(fault="endless_headers")`, `Reply(fault="endless_body")` |

The module also has a pytest fixture; import it in `conftest.py`:

```python
from inference_providers.testing import fake_provider  # noqa: F401


def test_it_waits(fake_provider):
    fake = fake_provider(Reply(status=429), Reply("hello"))
```
Without pytest installed, everything but the fixture is available.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from inference_providers.testing.replies import Fault, Reply, Request
from inference_providers.testing.server import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FakeProvider", "Fault", "Reply", "Request"]

try:
    import pytest
except ModuleNotFoundError:  # pytest is optional
    pass
else:
    __all__ += ["fake_provider"]

    @pytest.fixture
    def fake_provider() -> Iterator[Callable[..., FakeProvider]]:
        """Return a function that starts a `FakeProvider`, which stops with the test.

        Its arguments are those of `FakeProvider`.
        """
        with ExitStack() as stack:

            def start(*replies: Reply, **arguments: Any) -> FakeProvider:
                return stack.enter_context(FakeProvider(*replies, **arguments))

            yield start
