"""Reading budgets."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eas_sdk.budget import LIMIT, Budget, format_madds
from eas_sdk.errors import BudgetError, InputError


@pytest.mark.parametrize(
    ("value", "madds"),
    [
        (4_000_000, 4_000_000),
        (4e6, 4_000_000),
        (4.9, 4),
        (2**53 + 1, 2**53 + 1),  # which no float holds
        (LIMIT - 1, LIMIT - 1),
        ("4000000", 4_000_000),
        ("4_000_000", 4_000_000),
        ("4M and 4000k", 4_000_000),
        ("4M", 4_000_000),
        ("4m", 4_000_000),
        ("4 M", 4_000_000),
        (" 4M\n", 4_000_000),
        ("4.1M", 4_100_000),  # 4.1 * 10**6 is 4099999.9999999995 in floats
        ("0.29G", 290_000_000),
        ("350k", 350_000),
        ("350K", 350_000),
        ("0.3G", 300_000_000),
        ("4e6", 4_000_000),
        ("4E+6", 4_000_000),
        ("1.5e3k", 1_500_000),
        ("230 MAdds", 230),
        ("4.5 MMAdds", 4_500_000),
        ("4.5M MAdds", 4_500_000),
        ("0.001k", 1),
        (np.int64(4_000_000), 4_000_000),
        (np.uint8(200), 200),
        (np.float32(4e6), 4_000_000),
        (np.float64(4.5e6), 4_500_000),
        (Fraction(9, 2), 4),
        (Decimal("4.5e6"), 4_500_000),
        (Budget(7), 7),
    ],
)
def test_a_budget_is_read(value: object, madds: int) -> None:
    assert Budget.parse(value) == Budget(madds)
    assert type(Budget.parse(value).madds) is int


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, np.True_, [], {}, (), b"4M", object(), 4j, np.complex64(4), [4_000_000]),
        *(np.array(4e6), np.array([4e6]), np.array([1, 2]), np.datetime64(4, "s")),
        *(0, -1, -0.5, 0.0, math.nan, math.inf, -math.inf, 1e300, LIMIT, 10**400, -(10**5000), 10**5000),
        *(np.float32(math.nan), np.float64(math.inf), np.int64(-4), np.float16(0)),
        *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1e400"), Fraction(-1, 2)),
        *(
            "",
            " ",
            "M",
            "4X",
            "-1",
            "+4",
            "4MM",
            "4 M M",
            "4__0",
            "_4",
            "4_",
            "4M.",
            ".5M",
            "4.M",
            "0x4",
            "MAdds",
        ),
        *("ms", "12 m s", "-3ms", "0ms", "20 B", "20B", "1MiJ", "101%", "-1%", "%", "nan ms", "8ms20MB"),
        *("8ms and", "and 8ms", "8ms and and 20MB", "8ms or 20MB", "8ms & & 20MB", "4M" + " and 4M" * 40),
        *("nan", "inf", "1e400", "1e999999999", "0", "0M", "0.0G", "5e9G", "4M" * 40, "4" * 65, "٤M", "4M\0"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, int) else repr(value)[:20],
)
def test_what_is_no_budget_is_refused_with_the_grammar(value: object) -> None:
    with pytest.raises(BudgetError) as caught:
        Budget.parse(value)
    message = str(caught.value)
    assert "a budget is a positive number with a unit" in message
    assert all(form in message for form in ("'4M'", "'12ms'", "'0.5mJ'", "'20MB'", "'40%'", "'and'"))
    assert "got" in message
    assert len(message) < 450
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("12ms", "latency_ms", 12.0),
        ("12 MS", "latency_ms", 12.0),
        ("0.012 s", "latency_ms", 12.0),
        ("12000us", "latency_ms", 12.0),
        ("12000 µs", "latency_ms", 12.0),
        ("0.5mJ", "energy_mj", 0.5),
        ("500 uJ", "energy_mj", 0.5),
        ("0.0005J", "energy_mj", 0.5),
        ("20MB", "memory_bytes", 20_000_000),
        ("20 mb", "memory_bytes", 20_000_000),
        ("0.02GB", "memory_bytes", 20_000_000),
        ("20000kB", "memory_bytes", 20_000_000),
        ("1MiB", "memory_bytes", 2**20),
        ("40%", "level", 0.4),
        ("0%", "level", 0.0),
        ("100 %", "level", 1.0),
    ],
)
def test_units(text: str, field: str, value: float) -> None:
    budget = Budget.parse(text)
    assert budget.bounds == {field: value}
    assert type(getattr(budget, field)) is type(value)


@pytest.mark.parametrize("text", ["8ms and 20MB", "20MB & 8ms", "8 ms AND 20 MB", "8ms and 20MB and 8ms"])
def test_bounds_are_joined(text: str) -> None:
    assert Budget.parse(text) == Budget(latency_ms=8.0, memory_bytes=20_000_000)


@pytest.mark.parametrize("text", ["8,5M", "12,345,678", "8 , 5 ms", "4000000,20MB", "0,5mJ", "4,5X"])
def test_a_comma_between_digits_is_no_and(text: str) -> None:
    with pytest.raises(BudgetError, match=r"a point before decimals .* 'and'; got"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["4M and 8M", "8ms and 20MB and 9ms", "10% & 20%"])
def test_two_bounds_of_one_unit_are_no_budget(text: str) -> None:
    with pytest.raises(BudgetError, match="one bound of each unit: two budgets are two texts"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["4M,8M,16M", "8ms, 20MB", "4M,", ",4M", "4M and 20MB,8ms"])
def test_a_comma_separates_budgets_and_is_none_within_one(text: str) -> None:
    with pytest.raises(BudgetError, match=r"joined by 'and' .*, and several budgets are several texts; got"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["4_000_000", "4_000k", "4_0.5M"])
def test_underscores_between_digits_are_read(text: str) -> None:
    assert Budget.parse(text) == Budget.parse(text.replace("_", ""))


def test_a_number_too_large_for_any_machine_is_refused_at_once() -> None:
    for value in (Decimal("1e1000000"), Decimal("1e31")):
        with pytest.raises(BudgetError, match="below 2"):
            Budget.parse(value)


BUDGETS = st.builds(
    lambda **fields: Budget(**{k: v for k, v in fields.items() if v is not None} or {"madds": 1}),
    madds=st.none() | st.integers(0, LIMIT - 1),
    latency_ms=st.none() | st.floats(1e-6, 1e6),
    energy_mj=st.none() | st.floats(1e-6, 1e6),
    memory_bytes=st.none() | st.integers(0, LIMIT - 1),
    level=st.none() | st.floats(0, 1),
)


@given(BUDGETS, BUDGETS, BUDGETS)
def test_joining_takes_the_lower_bound_of_each_unit(a: Budget, b: Budget, c: Budget) -> None:
    joint = a & b
    for name in {*a.bounds, *b.bounds}:
        assert joint.bounds[name] == min(x.bounds[name] for x in (a, b) if name in x.bounds)
    assert set(joint.bounds) == {*a.bounds, *b.bounds}
    assert a & b == b & a
    assert a & a == a
    assert (a & b) & c == a & (b & c)


def test_a_budget_without_any_bound_is_refused() -> None:
    with pytest.raises(BudgetError, match="got none"):
        Budget()


@pytest.mark.parametrize("field", ["latency_ms", "energy_mj", "level"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, 1, "1", True])
def test_real_bounds_are_floats(field: str, value: object) -> None:
    with pytest.raises(BudgetError, match=field):
        Budget(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["4M", 4e6, -1, True, math.nan, LIMIT, np.int64(4)])
def test_a_budget_holds_an_integer(value: object) -> None:
    with pytest.raises(BudgetError, match=r"Budget\.parse"):
        Budget(value)  # type: ignore[arg-type]


@given(st.integers(1, LIMIT - 1))
def test_integers_are_exact_as_numbers_and_as_text(madds: int) -> None:
    assert Budget.parse(madds).madds == madds
    assert Budget.parse(str(madds)).madds == madds


@given(st.integers(1, 10**12), st.sampled_from("kMG"))
def test_decimal_text_is_exact(thousandths: int, unit: str) -> None:
    scale = {"k": 10**3, "M": 10**6, "G": 10**9}[unit]
    text = f"{thousandths // 1000}.{thousandths % 1000:03}{unit}"
    assert Budget.parse(text).madds == thousandths * scale // 1000


@given(st.text() | st.text(alphabet="0123456789.eEkKmMgG +-_adDsSnJjuBbi%&,"))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except InputError:
        return
    assert budget.bounds


@given(st.floats())
def test_any_float_is_read_or_refused(value: float) -> None:
    try:
        budget = Budget.parse(value)
    except BudgetError:
        assert not 0 < value < LIMIT
    else:
        assert budget.madds == math.floor(value)


@pytest.mark.parametrize(
    ("madds", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00k"),
        (4_021_000, "4.02M"),
        (563_700_000, "563.70M"),
        (999_994, "999.99k"),
        (999_999, "1.00M"),
        (10**9, "1.00G"),
    ],
)
def test_multiply_adds_for_people(madds: int, text: str) -> None:
    assert format_madds(madds) == str(Budget(madds)) == text
