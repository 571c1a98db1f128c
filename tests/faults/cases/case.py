"""A case: what a faulty provider sends, and how a call must end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chat_wire import FINISHED, TEXT, chunk, completion, stream, whole, words

if TYPE_CHECKING:
    from raw_server import Response

Call = tuple[str, dict[str, Any]]


class Answers(NamedTuple):
    """The provider's own answer is the result.

    Attributes:
        text: Its text.
        calls: Its tool calls: names and arguments.
        invalid: Its malformed tool calls: names and arguments as text.
        reasoning: Its reasoning.
        refusal: Its refusal.
        usage: Its input and output tokens; `None` if nothing usable is reported.
    """

    text: str = TEXT
    calls: tuple[Call, ...] = ()
    invalid: tuple[tuple[str, str], ...] = ()
    reasoning: str = ""
    refusal: str = ""
    usage: tuple[int, int] | None = (10, 5)


class MovesOn(NamedTuple):
    """The attempt fails, and the next route answers; alone, every route failed.

    Attributes:
        failure_class: The class of the failure; `None` if any is right.
        status: Its status; `None` if any is right.
        message: The provider's words, as a regular expression.
    """

    failure_class: str | None = "invalid_response"
    status: int | None = None
    message: str = ""


class Interrupted(NamedTuple):
    """The stream breaks after output, and `partial` is the text before that."""

    partial: str = TEXT
    failure_class: str = "invalid_response"
    message: str = ""


class Flawed(NamedTuple):
    """The next route answers; if there is none, the provider's own answer is the result."""

    answer: Answers


class HandedOut(NamedTuple):
    """The provider's own answer is the result although it has a flaw: its stream had begun."""

    answer: Answers


class Filtered(NamedTuple):
    """A content filter withheld the answer; the caller decides whether that moves on."""

    partial: str = ""


Expected = Answers | MovesOn | Interrupted | Flawed | HandedOut | Filtered


class Case(NamedTuple):
    """What a provider sends as a whole answer and as a stream; `None` if it cannot.

    Attributes:
        name: What is odd about it.
        source: Where it was reported.
        whole: The response to a plain request.
        streamed: The response to a request for a stream.
        expected: What a plain request leads to.
        expected_stream: What a request for a stream leads to.
    """

    name: str
    source: str
    whole: Response | None
    streamed: Response | None
    expected: Expected
    expected_stream: Expected


def any_request(
    name: str,
    response: Response,
    expected: Expected,
    expected_stream: Expected | None = None,
    *,
    source: str = "",
) -> Case:
    """Return a case with one response to both kinds of requests."""
    return Case(name, source, response, response, expected, expected_stream or expected)


def plain_request(
    name: str, body: Any, expected: Expected, *, source: str = "", **http: Any
) -> Case:
    """Return a case for a plain request."""
    return Case(name, source, whole(body, **http), None, expected, expected)


def stream_request(
    name: str, *items: Any, expected: Expected, source: str = "", **headers: str
) -> Case:
    """Return a case for a request for a stream, which gets these events."""
    return Case(name, source, None, stream(*items, **headers), expected, expected)


def message(  # noqa: PLR0913 - all but the first four are keywords
    name: str,
    fields: Any,
    expected: Expected,
    expected_stream: Expected | None = None,
    *,
    finish: Any = "stop",
    source: str = "",
) -> Case:
    """Return a case with one message: whole, and as a stream of one chunk with all of it."""
    streamed = stream(chunk(fields), chunk({}, finish), *FINISHED[1:])
    body = whole(completion(fields, finish))
    return Case(name, source, body, streamed, expected, expected_stream or expected)


def text_stream(name: str, *after: Any, expected: Expected, source: str = "") -> Case:
    """Return a case for a stream with a text, and then these events."""
    return stream_request(name, *words(*_WORDS), *after, expected=expected, source=source)


_WORDS = ("The capital", " is Paris.")
