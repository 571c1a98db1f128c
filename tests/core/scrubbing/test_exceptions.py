"""A key is found wherever an exception may hold it, and the failure itself stays."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_providers.scrubbing.exceptions import clear_frames, scrub_exception
from inference_providers.scrubbing.texts import TextScrubber

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "sk-canary-0123456789abcdef"
NAME = "[CANARY_KEY]"
TEXT = f"Incorrect API key provided: {SECRET}."
SCRUBBED = TEXT.replace(SECRET, NAME)
TEXTS = TextScrubber(SECRET, NAME)

Pair = namedtuple("Pair", "name value")  # noqa: PYI024 - this kind of named tuple too


class Model(pydantic.BaseModel):
    message: str


class Number(pydantic.BaseModel):
    value: int


class Struct(msgspec.Struct):
    message: str


@dataclasses.dataclass(frozen=True)
class Frozen:
    message: str


class Opaque:
    """Prints as its address, and has the key in an attribute."""

    def __init__(self, message: str) -> None:
        self.message = message


class Printed:
    def __init__(self, message: str) -> None:
        self._shown = [message]

    def __repr__(self) -> str:
        return f"<{self._shown[0]}>"


class Enumerated(str):
    __slots__ = ()


class SlottedError(Exception):
    __slots__ = ("detail",)

    def __init__(self, detail: Any) -> None:
        super().__init__("slotted")
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    detail: Any


class ComputedError(Exception):
    """Computes its text from a place that nobody finds."""

    def __init__(self, text: str) -> None:
        super().__init__("computed")
        self._text = lambda: text

    def __str__(self) -> str:
        return self._text()


SHAPES: dict[str, Callable[[], Any]] = {
    "str": lambda: TEXT,
    "str subclass": lambda: Enumerated(TEXT),
    "bytes": TEXT.encode,
    "bytearray": lambda: bytearray(TEXT.encode()),
    "memoryview": lambda: memoryview(TEXT.encode()),
    "tuple": lambda: (1, TEXT),
    "named tuple": lambda: Pair("a", TEXT),
    "list": lambda: [TEXT],
    "set": lambda: {TEXT},
    "frozenset": lambda: frozenset({TEXT}),
    "deque": lambda: deque([TEXT], maxlen=3),
    "dict value": lambda: {"a": TEXT},
    "dict key": lambda: {TEXT: "a"},
    "bytes key": lambda: {TEXT.encode(): "a"},
    "OrderedDict": lambda: OrderedDict(a=TEXT),
    "defaultdict": lambda: defaultdict(list, a=[TEXT]),
    "UserDict": lambda: UserDict({"a": TEXT}),
    "mapping proxy": lambda: MappingProxyType({"a": TEXT}),
    "httpx headers": lambda: httpx.Headers({"x-echo": TEXT}),
    "nested": lambda: {"a": [({TEXT: [TEXT.encode()]}, {TEXT})]},
    "exception": lambda: ValueError(TEXT),
    "exception in exception": lambda: ValueError([OSError(5, TEXT)]),
    "pydantic": lambda: Model(message=TEXT),
    "dataclass": lambda: Frozen(TEXT),
    "struct": lambda: Struct(TEXT),
    "printed": lambda: Printed(TEXT),
    "opaque": lambda: Opaque(TEXT),
    "namespace": lambda: SimpleNamespace(a=TEXT),
    "bound method": lambda: Printed(TEXT).__repr__,
    "class of its own": type("Odd", (), {"__str__": lambda _: TEXT}),
    "number": lambda: Printed(SECRET),
}

ERRORS: dict[str, Callable[[Any], BaseException]] = {
    "args": ValueError,
    "two args": lambda value: RuntimeError("x", value),
    "KeyError": KeyError,
    "attribute": lambda value: with_attribute("body", value),
    "message": lambda value: with_attribute("message", value),
    "slot": SlottedError,
    "frozen": FrozenError,
    "note": lambda value: with_attribute("__notes__", [str(value)]),
    "cause": lambda value: with_attribute("__cause__", ValueError(value)),
    "context": lambda value: with_attribute("__context__", ValueError(value)),
    "group": lambda value: ExceptionGroup("group", [ValueError(value), OSError(1, "a")]),
    "StopIteration": StopIteration,
    "response": lambda value: with_attribute("response", response_with(value)),
}

BUILTIN: dict[str, Callable[[], BaseException]] = {
    "OSError": lambda: OSError(2, TEXT, SECRET, None, SECRET),
    "FileNotFoundError": lambda: FileNotFoundError(2, "no file", f"/home/{SECRET}"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", TEXT.encode(), 0, 1, TEXT),
    "UnicodeEncodeError": lambda: UnicodeEncodeError("ascii", TEXT, 0, 1, TEXT),
    "SyntaxError": lambda: SyntaxError(TEXT, (SECRET, 1, 1, TEXT)),
    "ImportError": lambda: ImportError(TEXT, name=SECRET, path=SECRET),
    "AttributeError": lambda: AttributeError(TEXT, name=SECRET, obj={"a": SECRET}),
    "NameError": lambda: NameError(TEXT, name=SECRET),
    "SystemExit": lambda: SystemExit(TEXT),
    "group message": lambda: ExceptionGroup(TEXT, [ValueError(TEXT)]),
    "base group": lambda: BaseExceptionGroup(TEXT, [KeyboardInterrupt(TEXT)]),
    "pydantic": lambda: raised(lambda: Number(value=SECRET)),  # type: ignore[arg-type]
    "msgspec": lambda: msgspec.ValidationError(TEXT),
    "computed": lambda: ComputedError(TEXT),
    "httpx": lambda: httpx.HTTPStatusError(
        TEXT, request=httpx.Request("GET", "https://a.test"), response=response_with(TEXT)
    ),
}


def raised(fail: Callable[[], Any]) -> BaseException:
    try:
        fail()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error.with_traceback(None)
    raise AssertionError


def with_attribute(name: str, value: Any) -> BaseException:
    error = RuntimeError("x")
    setattr(error, name, value)
    return error


def response_with(value: Any) -> httpx.Response:
    response = httpx.Response(401, content=str(value), headers={"x-echo": SECRET})
    assert response.text
    return response


def shown(value: Any, depth: int = 6) -> list[str]:
    """Return what can be seen of a value: printed, and in the attributes and items below it."""
    texts = []
    for show in (str, repr):
        try:
            texts.append(show(value))
        except Exception:  # noqa: BLE001 - then nobody can see it
            continue
    if depth == 0 or isinstance(value, str | int | float | type):
        return texts
    if isinstance(value, bytes | bytearray | memoryview):
        return [*texts, bytes(value).decode("latin-1")]
    below: list[Any] = []
    if isinstance(value, dict | MappingProxyType | UserDict):
        below += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset | deque):
        below += value
    elif isinstance(value, BaseException):
        texts += traceback.format_exception(value)
        below += [value.args, vars(value), value.__cause__, value.__context__]
        names = "detail filename filename2 strerror object reason text msg name obj path value code"
        below += [getattr(value, name, None) for name in names.split()]
        if isinstance(value, BaseExceptionGroup):
            below += [value.message, value.exceptions]
    elif isinstance(attributes := getattr(value, "__dict__", None), dict):
        below.append(attributes)
    return texts + [text for item in below for text in shown(item, depth - 1)]


def assert_clean(error: BaseException) -> None:
    for text in shown(error):
        assert SECRET not in text


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("place", ERRORS.values(), ids=ERRORS)
def test_scrub_exception_finds_a_key_in_any_shape(
    place: Callable[[Any], BaseException], shape: Callable[[], Any]
) -> None:
    error = place(shape())
    scrubbed = scrub_exception(error, TEXTS)
    assert scrubbed is error
    assert_clean(scrubbed)


@pytest.mark.parametrize("make", BUILTIN.values(), ids=BUILTIN)
def test_scrub_exception_finds_a_key_in_any_exception(make: Callable[[], BaseException]) -> None:
    error = make()
    outer = ValueError("outer")
    outer.__cause__ = make()
    scrubbed = scrub_exception(error, TEXTS)
    assert_clean(scrubbed)
    assert type(scrubbed).__name__ == type(error).__name__
    assert NAME in "".join(traceback.format_exception(scrubbed))
    assert scrub_exception(outer, TEXTS) is outer
    assert_clean(outer)
    assert type(outer.__cause__).__name__ == type(error).__name__


def test_scrub_exception_keeps_the_types_of_what_it_scrubs() -> None:
    for name in ("bytes", "bytearray", "tuple", "named tuple", "list", "set", "frozenset", "deque"):
        value = SHAPES[name]()
        scrubbed = scrub_exception(ValueError(value), TEXTS).args[0]
        assert type(scrubbed) is type(value)
    headers = scrub_exception(ValueError(SHAPES["httpx headers"]()), TEXTS).args[0]
    assert headers.get("X-Echo") == SCRUBBED


def test_scrub_exception_leaves_the_owners_objects_alone() -> None:
    """A body or a message may belong to the caller."""
    body = {"messages": [{"content": TEXT}]}
    opaque = Opaque(TEXT)
    error = scrub_exception(ValueError(body, opaque), TEXTS)
    assert_clean(error)
    assert body == {"messages": [{"content": TEXT}]}
    assert opaque.message == TEXT


def test_scrub_exception_returns_clean_values_as_they_are() -> None:
    value = [{"a": (1, None, b"x", {2.5})}, Model(message="a"), Opaque("b"), object()]
    error = with_attribute("body", value)
    scrub_exception(error, TEXTS)
    assert error.body is value  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "wrap"),
    [
        (600, lambda v: [v]), (5_000, lambda v: {"a": v}), (5_000, lambda v: (v,)),
        (100_000, lambda v: {"a": v}),
    ],
)  # fmt: skip
def test_scrub_exception_reaches_any_depth(wrap: Callable[[Any], Any], depth: int) -> None:
    value: Any = TEXT
    for _ in range(depth):
        value = wrap(value)
    error = with_attribute("body", value)
    error.args = (value,)
    scrub_exception(error, TEXTS)
    for part in (error.body, error.args[0]):  # type: ignore[attr-defined]
        inner = part
        while not isinstance(inner, str):
            (inner,) = inner.values() if isinstance(inner, dict) else inner
        assert inner == SCRUBBED


@pytest.mark.slow
@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_scrub_exception_follows_long_chains(link: str) -> None:
    first = error = ValueError(TEXT)
    for _ in range(5_000):
        following = ValueError(TEXT)
        setattr(error, link, following)
        error = following
    scrub_exception(first, TEXTS)
    assert str(error) == SCRUBBED


def test_scrub_exception_ends_where_values_contain_themselves() -> None:
    body: dict[str, Any] = {"message": TEXT}
    body["self"] = [body]
    error = with_attribute("body", body)
    error.args = (error, body)
    error.__cause__ = error
    assert scrub_exception(error, TEXTS) is error
    assert_clean(error)
    assert SCRUBBED in str(error)


class Hostile:
    """Fails in every way that an object of somebody else can."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise RuntimeError(name)

    def __repr__(self) -> NoReturn:
        raise RuntimeError

    __str__ = __iter__ = __len__ = __eq__ = __hash__ = __repr__  # type: ignore[assignment]


class HostileDict(dict[Any, Any]):
    def items(self) -> NoReturn:
        raise RuntimeError

    __iter__ = keys = values = items


class HostileError(Exception):
    @property
    def args(self) -> NoReturn:  # type: ignore[override]
        raise RuntimeError

    def __str__(self) -> NoReturn:
        raise RuntimeError


@pytest.mark.parametrize("make", [Hostile, HostileDict, lambda: [Hostile(), TEXT]])
def test_scrub_exception_never_replaces_the_failure_by_its_own(make: Callable[[], Any]) -> None:
    value = make()
    error = with_attribute("body", value)
    error.args = (TEXT, value)
    scrubbed = scrub_exception(error, TEXTS)
    assert scrubbed.args[0] == SCRUBBED
    hostile = HostileError()
    assert scrub_exception(hostile, TEXTS) is hostile


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TEXT),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(SECRET), inner),
    max_leaves=30,
)


@given(JSON)
def test_scrub_exception_leaves_no_key_in_any_body(body: Any) -> None:
    error = with_attribute("body", body)
    error.args = (body,)
    scrub_exception(error, TEXTS)
    assert_clean(error)


def test_replaced_exception_pickles_and_is_caught_as_before() -> None:
    for name in ("pydantic", "computed"):
        error = BUILTIN[name]()
        error.add_note(TEXT)
        error.__cause__ = KeyError(TEXT)
        scrubbed = scrub_exception(error, TEXTS)
        assert scrubbed is not error
        assert isinstance(scrubbed, ValueError if name == "pydantic" else ComputedError)
        assert scrubbed.__notes__ == [SCRUBBED]
        assert str(scrubbed.__cause__) == repr(SCRUBBED)
        for again in (pickle.loads(pickle.dumps(scrubbed)), copy.copy(scrubbed)):
            assert (type(again).__name__, str(again)) == (type(error).__name__, str(scrubbed))
            assert SECRET.encode() not in pickle.dumps(again)


# Frames


def locals_of(error: BaseException) -> list[str]:
    """Return what tools that report errors show of the frames below this module's tests."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [repr(frame.f_locals) for frame in frames if not frame.f_code.co_name.startswith("test")]


def fail_with(header: str) -> None:
    headers = [header]
    del header
    try:
        raise KeyError(len(headers))  # noqa: TRY301
    except KeyError as error:
        msg = "outer"
        raise ValueError(msg) from error


def test_clear_frames_forgets_locals_and_keeps_lines() -> None:
    with pytest.raises(ValueError, match="outer") as caught:
        fail_with(SECRET)
    assert SECRET in repr(locals_of(caught.value))
    before = traceback.format_exception(caught.value)
    clear_frames(caught.value)
    assert SECRET not in repr(locals_of(caught.value))
    assert SECRET not in repr(locals_of(caught.value.__cause__))
    assert traceback.format_exception(caught.value) == before


def test_clear_frames_leaves_what_a_caller_is_handling() -> None:
    handled: ValueError | None = None
    try:
        fail_with(SECRET)
    except ValueError as error:
        handled = error
        with pytest.raises(TypeError) as caught:
            len(5)  # type: ignore[arg-type]
        clear_frames(caught.value)
    assert handled is not None
    assert caught.value.__context__ is handled
    assert SECRET in repr(locals_of(handled))


def test_clear_frames_leaves_a_generator_that_goes_on() -> None:
    def numbers() -> Any:
        for number in range(3):
            try:
                fail_with(SECRET)
            except ValueError as error:
                clear_frames(error)
                yield number

    assert list(numbers()) == [0, 1, 2]
