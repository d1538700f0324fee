# SPDX-License-Identifier: MIT
"""The comparison of two runs alarms on what became slower, and leaves what did not change alone."""

from __future__ import annotations

import random
import statistics as std

import pytest

from protopi.hwgate import power_curve
from protopi.hwgate.power_curve import Noise
from protopi.hwgate.statistics import ALPHA, assured, compare, fisher, keep, summarise

#: What the issue demands of 100 pairs: at most so many alarms unchanged, at least so many at +50 and +100 ms.
PAIRS, UNCHANGED, AT_50, AT_100 = 100, 1, 95, 100


def campaign(pairs: int) -> None:
    points = {round(p.shift * 1e3): p for p in power_curve.curve(pairs, shifts_ms=(0, 50, 100))}
    print("\n" + "\n".join(power_curve.table(list(points.values()), power_curve.BOOTS)))
    assert points[0].alarms <= max(1, UNCHANGED * pairs // PAIRS)
    assert points[50].alarms >= AT_50 * pairs // PAIRS
    assert points[100].alarms >= AT_100 * pairs // PAIRS


def test_an_unchanged_image_alarms_once_in_100_at_most_and_50_ms_are_found() -> None:
    campaign(PAIRS // 10)


@pytest.mark.full
def test_an_unchanged_image_alarms_once_in_100_at_most_and_50_ms_are_found_in_full() -> None:
    campaign(PAIRS)


@pytest.mark.full
def test_the_rates_hold_over_1000_pairs() -> None:
    """The chance of an alarm is the one that was asked for, not the luck of a hundred pairs."""
    unchanged, slower = power_curve.curve(1000, shifts_ms=(0, 50), seed=3)
    print("\n" + "\n".join(power_curve.table([unchanged, slower], power_curve.BOOTS)))
    assert unchanged.interval()[0] <= ALPHA
    assert unchanged.share <= 0.01
    assert slower.share >= 0.95


def alarms(alpha: float, shift: float, pairs: int) -> int:
    dice, noise = random.Random(8), Noise()
    found = 0
    for _ in range(pairs):
        made = compare(noise.draw(dice, 20), noise.draw(dice, 20, shift), alpha=alpha, resamples=400)
        assert made is not None
        found += bool(made.alarms)
    return found


def test_negative_control_the_campaign_would_see_a_rule_that_is_too_eager_or_too_lax() -> None:
    assert alarms(0.25, 0.0, 40) > 3, "a rule that cries wolf must not pass as one that does not"
    assert alarms(0.003, 0.015, 40) < 20, (
        "15 ms are too few to be found with 20 boots: the campaign's 50 ms mean something"
    )


def test_the_same_data_give_the_same_answer() -> None:
    noise = Noise()
    first, second = noise.draw(random.Random(1), 20), noise.draw(random.Random(2), 20)
    assert compare(first, second) == compare(first, second)
    forward, back = compare(first, second), compare(second, first)
    assert forward is not None
    assert back is not None
    assert forward.shift == pytest.approx(-back.shift)


def test_a_quiet_board_s_small_change_is_found_but_no_alarm_below_one_percent() -> None:
    dice = random.Random(4)
    before = [0.6 + dice.gauss(0, 0.0005) for _ in range(20)]
    small = compare(before, [value + 0.004 for value in before])
    large = compare(before, [value + 0.007 for value in before])
    assert small is not None
    assert large is not None
    assert (small.finding, small.alarms) == ("slower", ())
    assert large.finding == "slower"
    assert "slower by 7.0 ms" in large.alarms[0]


def test_faster_is_found_and_is_no_alarm() -> None:
    dice, noise = random.Random(5), Noise()
    made = compare(noise.draw(dice, 20, 0.1), noise.draw(dice, 20))
    assert made is not None
    assert (made.finding, made.alarms) == ("faster", ())


def test_late_boots_are_set_aside_and_many_of_them_are_an_alarm_of_their_own() -> None:
    dice, noise = random.Random(6), Noise(late_share=0.0)
    before = noise.draw(dice, 59)
    late = [value + (1.0 if n < 11 else 0.0) for n, value in enumerate(noise.draw(dice, 59))]
    made = compare(before, late)
    assert made is not None
    assert made.aside == (0, 11)
    assert made.finding == "no difference"
    assert made.alarms == ("more boots lie far off: 11 of 59 boots, earlier 0 of 59",)
    one = compare(before, [*before[:58], 1.6])
    assert one is not None
    assert (one.aside, one.alarms) == ((0, 1), ())


def test_two_modes_of_a_quiet_board_are_no_outliers() -> None:
    dice = random.Random(7)
    for slow in (3, 8):
        rows = [0.6 + (0.018 if n < slow else 0.0) + dice.gauss(0, 0.0002) for n in range(20)]
        assert keep(rows, rows) == (rows, rows)


def test_where_a_fifth_would_go_none_goes() -> None:
    rows = [0.6] * 15 + [1.6] * 5
    kept, _ = keep(rows, [0.6] * 20)
    assert len(kept) == 20
    kept, _ = keep([0.6] * 16 + [1.6] * 4, [0.6] * 20)
    assert len(kept) == 16


def test_equal_boots_have_no_difference_and_few_are_not_compared() -> None:
    same = compare([0.5] * 20, [0.5] * 20)
    assert same is not None
    assert (same.shift, same.low, same.high, same.finding) == (0.0, 0.0, 0.0, "no difference")
    slower = compare([0.5] * 20, [0.6] * 20)
    assert slower is not None
    assert slower.alarms
    assert compare([0.5] * 4, [0.6] * 20) is None
    assert compare([], [0.6] * 20) is None


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    dice, noise = random.Random(9), Noise(late_share=0.0)
    missed = 0
    for _ in range(60):
        made = compare(noise.draw(dice, 20), noise.draw(dice, 20, 0.03), alpha=0.05, resamples=400)
        assert made is not None
        missed += not made.low <= 0.03 <= made.high
    assert 1 <= missed <= 13, "each end is missed 5 times in 100"


def test_the_figures_of_a_set() -> None:
    made = summarise([0.5, 0.4, 0.6, 0.5, 1.5])
    assert (made.count, made.least, made.median, made.p95, made.most) == (5, 0.4, 0.5, 1.5, 1.5)
    assert made.mad == pytest.approx(0.1)
    assert summarise(list(range(1, 21))).p95 == 19
    assert summarise([0.7]).p95 == 0.7
    assert assured(20) == pytest.approx(0.861, abs=5e-4)
    assert assured(59) == pytest.approx(0.9505, abs=5e-5)
    assert assured(0) == 0.0


def test_fisher_is_the_hypergeometric_tail() -> None:
    assert fisher(0, 20, 0, 20) == 1.0
    assert fisher(0, 20, 7, 20) == pytest.approx(77520 / 18643560)
    assert fisher(3, 20, 3, 20) == pytest.approx(0.669, abs=2e-3)


def test_the_noise_is_the_one_that_is_stated() -> None:
    rows = Noise().draw(random.Random(10), 20000)
    late = [value for value in rows if value > 1.2]
    rest = [value for value in rows if value <= 1.2]
    assert len(late) / len(rows) == pytest.approx(0.02, abs=0.004)
    assert std.fmean(rest) == pytest.approx(0.6, abs=0.001)
    assert std.pstdev(rest) == pytest.approx((0.03**2 + 0.009**2) ** 0.5, abs=0.0006)
