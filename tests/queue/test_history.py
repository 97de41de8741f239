"""What the history keeps of an error, whatever the error is."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from taskhub.queue.attempts import MAX_MESSAGE, MAX_TRACEBACK, Failure, describe


def raised(function: Callable[[], Any]) -> Exception:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is described
        return error
    raise AssertionError("it raised nothing")


def described(function: Callable[[], Any]) -> Failure:
    return describe(raised(function))


def shipped(folder: Path, name: str, code: str) -> ModuleType:
    """A module of the user's, as it lies in the folder of one release."""
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text(code)
    found = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_chained_cause_is_told_and_makes_another_fingerprint() -> None:
    def wrap(cause: Exception) -> None:
        try:
            raise cause
        except type(cause) as error:
            raise RuntimeError("payment failed") from error

    timeout = described(lambda: wrap(TimeoutError("bank")))
    refused = described(lambda: wrap(PermissionError("bank")))

    assert "TimeoutError: bank" in timeout.traceback
    assert "direct cause" in timeout.traceback
    assert timeout.error_class == "RuntimeError"
    assert timeout.fingerprint != refused.fingerprint


def test_causes_that_go_in_a_circle_come_to_an_end() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    told = describe(one)

    assert told.error_message == "one"
    assert "ValueError: two" in told.traceback


def test_an_exception_group_names_its_members_in_any_order() -> None:
    def group(*members: Exception) -> None:
        raise ExceptionGroup("two of three", members)

    first = described(lambda: group(ValueError("a"), KeyError("b")))
    second = described(lambda: group(KeyError("b"), ValueError("c"), ValueError("d")))
    other = described(lambda: group(OSError("a")))

    assert "ValueError: a" in first.traceback
    assert "KeyError: 'b'" in first.traceback
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != other.fingerprint


def test_a_huge_message_is_cut_in_the_middle() -> None:
    told = described(lambda: (_ for _ in ()).throw(ValueError("a" * 10_000_000 + "the end")))

    assert len(told.error_message) < MAX_MESSAGE + 100
    assert told.error_message.endswith("the end")
    assert "characters left out" in told.error_message
    assert len(told.traceback) < MAX_TRACEBACK + 100


def test_a_recursion_is_one_kind_of_failure_however_deep_it_went() -> None:
    def down(n: int) -> None:
        if n == 0:
            raise RecursionError("too deep")
        up(n - 1)

    def up(n: int) -> None:
        down(n)

    shallow, deep = described(lambda: down(50)), described(lambda: down(300))

    assert shallow.fingerprint == deep.fingerprint
    assert "too deep" in deep.traceback


def test_a_real_recursion_error_is_described() -> None:
    def forever(n: int) -> int:
        return forever(n + 1) + 1

    told = described(lambda: forever(0))

    assert told.error_class == "RecursionError"
    assert "in forever" in told.traceback
    assert len(told.traceback) < MAX_TRACEBACK + 100


class Silent(Exception):
    def __str__(self) -> str:
        raise KeyError("no words")


class Endless(Exception):
    def __str__(self) -> str:
        return str(self)


class NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]  # noqa: PLE0307 - what users do


@pytest.mark.parametrize(
    ("kind", "why"), [(Silent, "KeyError"), (Endless, "RecursionError"), (NoText, "TypeError")]
)
def test_an_exception_that_cannot_tell_itself_is_kept_by_its_class(
    kind: type[Exception], why: str
) -> None:
    told = described(lambda: (_ for _ in ()).throw(kind()))

    assert told.error_class == f"{__name__}.{kind.__name__}"
    assert told.error_message == f"<the message cannot be shown: {why}>"
    assert kind.__name__ in told.traceback


def test_a_syntax_error_shows_its_line() -> None:
    told = described(lambda: compile("a = (1,\nb = 2", "rules.txt", "exec"))

    assert told.error_class == "SyntaxError"
    assert 'File "rules.txt"' in told.traceback


def test_a_syntax_error_that_is_none_is_described_all_the_same() -> None:
    broken = SyntaxError("odd", ("rules.txt", "not a number", object(), 7, [], {}))  # type: ignore[arg-type]  # what parsers do

    told = describe(broken)

    assert told.error_class == "SyntaxError"
    assert told.error_message.startswith("odd")
    assert "SyntaxError" in told.traceback


def test_an_exception_whose_class_cannot_be_named_is_still_a_failure() -> None:
    class Nameless(type):
        @property
        def __module__(cls) -> str:  # type: ignore[override]  # what proxies do
            raise RuntimeError

    kind = Nameless("Odd", (Exception,), {})

    told = describe(kind("x"))

    assert told.error_message == "the exception cannot be described: RuntimeError"
    assert len(told.fingerprint) == 16


CODE = """
class Refused(Exception): ...

def pay(order):
    raise Refused(f"order {order} at {object()!r}")

def settle(order):
    return [pay(o) for o in [order]]
"""


def test_the_fingerprint_is_the_same_in_the_next_release_in_another_folder(tmp_path: Path) -> None:
    old = shipped(tmp_path / "release-1", "shop_pay", CODE)
    new = shipped(tmp_path / "release-2" / "src", "shop_pay", "import os\n\n\n" + CODE)

    first = described(lambda: old.settle(1))
    second = described(lambda: new.settle(2))

    assert first.error_class == "shop_pay.Refused"
    assert first.error_message != second.error_message
    assert first.fingerprint == second.fingerprint


def test_another_way_to_the_same_error_is_another_fingerprint(tmp_path: Path) -> None:
    shop = shipped(tmp_path / "release", "shop_pay", CODE)

    assert described(lambda: shop.settle(1)).fingerprint != (
        describe(raised(lambda: shop.pay(1))).fingerprint
    )


def test_names_with_addresses_and_dates_in_them_do_not_change_the_fingerprint() -> None:
    def fails(name: str) -> Failure:
        space: dict[str, Any] = {"__name__": f"generated_{name}"}
        exec(f"def step_{name}(): raise ValueError", space)  # noqa: S102 - as code generators do
        return describe(raised(space[f"step_{name}"]))

    assert fails("20261123").fingerprint == fails("20261124").fingerprint
    assert fails("0x7f3a1c").fingerprint == fails("0x7f3bee").fingerprint
    assert fails("v1").fingerprint != fails("v2").fingerprint


def test_functions_of_libraries_do_not_count_where_the_users_own_have_a_part() -> None:
    def read(parse: Callable[[str], Any]) -> None:
        parse("{")

    once = describe(raised(lambda: read(json.loads)))
    deeper = describe(raised(lambda: read(json.JSONDecoder().decode)))

    assert "decoder.py" in once.traceback
    assert once.fingerprint == deeper.fingerprint


def test_notes_are_told() -> None:
    error = ValueError("why")
    error.add_note("while reading order 7")

    assert "while reading order 7" in describe(error).traceback
