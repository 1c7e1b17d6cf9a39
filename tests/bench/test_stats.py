"""What the bench's driver makes of its samples."""

import json

import pytest

from bench.driver import bounds, experiment, histogram, programs, rows, stats, table
from bench.driver.programs import Failed
from tests.harness.processes import of_folder



def _steady(**yardsticks):
    return {name: stats.summary([value] * 3) for name, value in yardsticks.items()}


_REFERENCE_MACHINE = _steady(**bounds.REFERENCE)
_HALF_AS_FAST = _steady(echo=32400.0, spawn=3081.0, fdatasync=0.26)


def _row(**fields):
    return rows.Row(**{"name": "r", "what": "things", "ours": "ours", "unit": "/s", "reference": "ref", "reference_name": "bare loop", **fields})


def _result(ours, reference=(), yardsticks=None, **fields):
    return rows.result(_row(**fields), {"ours": list(ours), "ref": list(reference)}, yardsticks or _REFERENCE_MACHINE)


def test_summary_is_median_and_spread():
    assert stats.summary([5, 1, 3]) == stats.Summary(3, 1, 5, 3)
    assert stats.summary([1, 2]).median == 1.5


def test_ratios_are_paired_round_by_round():
    # The machine was three times slower in the second round, for both sides.
    assert stats.paired_ratio([30, 10], [60, 20]) == stats.Summary(0.5, 0.5, 0.5, 2)


@pytest.mark.parametrize("ours, reference", [([1], []), ([], []), ([1, 2], [1]), ([1], [0])])
def test_no_ratio_without_a_partner_in_each_round(ours, reference):
    assert stats.paired_ratio(ours, reference) is None


def test_slope():
    assert stats.slope(10, 100, 20, 300) == 20


def test_speed_is_that_of_the_slowest_yardstick():
    assert bounds.speed(_HALF_AS_FAST, ()) == 1
    assert bounds.speed(_HALF_AS_FAST, ("spawn",)) == 1
    assert bounds.speed(_HALF_AS_FAST, ("spawn", "fdatasync")) == 0.5
    assert bounds.speed(_HALF_AS_FAST, ("echo",)) == 0.5


def test_noise_does_not_make_a_bound_easier():
    noisy = {"echo": stats.summary([64800, 1000, 900]), "fdatasync": stats.summary([0.13, 4, 5])}
    assert bounds.speed(noisy, ("echo", "fdatasync")) == 1


def test_a_rate_is_scaled_down_on_a_slow_machine_and_a_duration_up():
    rate, duration = bounds.AtLeast(1000, scaled_by=("echo",)), bounds.AtMost(2, scaled_by=("fdatasync",))
    assert rate.limit(_HALF_AS_FAST) == 500
    assert duration.limit(_HALF_AS_FAST) == 4
    assert rate.text(_HALF_AS_FAST) == "≥ 1 000 /s (here 500)"
    assert duration.text(_HALF_AS_FAST) == "≤ 2.00 ms (here 4.00)"


def test_what_has_no_yardstick_is_not_scaled():
    assert bounds.AtMost(2, "KiB").limit(_HALF_AS_FAST) == 2
    assert bounds.AtMost(2, "KiB").text(_HALF_AS_FAST) == "≤ 2.00 KiB"


@pytest.mark.parametrize("ours, verdict", [(50, "goal"), (45, "floor"), (20, "below")])
def test_verdict_of_a_ratio(ours, verdict):
    result = _result([ours] * 3, [80] * 3, floor=(bounds.Ratio(0.5),), goal=(bounds.Ratio(0.6),))
    assert result.verdict() == verdict


def test_every_bound_of_a_floor_must_hold():
    floor = (bounds.Ratio(0.5), bounds.AtLeast(100))
    assert _result([60], [100], floor=floor).verdict() == "below"
    assert _result([120], [200], floor=floor).verdict() == "floor"


def test_above_the_reference():
    bound = (bounds.AboveReference(3),)
    assert _result([7], [4], floor=bound).verdict() == "floor"
    assert _result([7.1], [4], floor=bound).verdict() == "below"


def test_without_a_reference_a_ratio_has_no_verdict_and_a_rate_has():
    result = _result([10], floor=(bounds.Ratio(0.5),))
    result.reference_missing = "not available: not installed"
    assert result.verdict() == "n/a"
    result = _result([10], floor=(bounds.AtLeast(5),))
    result.reference_missing = "not available: not installed"
    assert result.verdict() == "floor"


def test_a_goal_without_a_floor():
    assert _result([60], [100], goal=(bounds.Ratio(0.5),)).verdict() == "goal"
    assert _result([40], [100], goal=(bounds.Ratio(0.5),)).verdict() == "short"


def test_a_ratio_may_have_an_upper_bound():
    assert _result([19], [10], floor=(bounds.RatioAtMost(2),)).verdict() == "floor"
    assert _result([21], [10], floor=(bounds.RatioAtMost(2),)).verdict() == "below"


def test_a_figure_is_doubted_where_the_machine_swung():
    assert not _result([1, 9, 1], [4, 5, 6]).unsteady()
    assert _result([1, 1, 1], [2, 5, 6]).unsteady()
    swinging = {**_REFERENCE_MACHINE, "fdatasync": stats.summary([0.1, 0.1, 3.0])}
    assert _result([1], [1], swinging, floor=(bounds.AtMost(1, scaled_by=("fdatasync",)),)).unsteady()
    assert not _result([1], [1], swinging, floor=(bounds.AtMost(1, scaled_by=("echo",)),)).unsteady()
    text = table.text([_result([1, 1, 1], [2, 5, 6], floor=(bounds.Ratio(0.1),))])
    assert "floor?" in text and text.splitlines()[-1].startswith("?: the machine was not quiet")


def test_nothing_to_hold_is_no_verdict():
    assert _result([10], [10]).verdict() == "-"


def test_table_is_aligned_and_tells_why_a_figure_is_missing():
    good = _result([1000, 1200], [2000, 2000], floor=(bounds.Ratio(0.5),))
    missing = rows.Result(_row(name="gone"), missing="not available: bwrap: no such file", yardsticks=_REFERENCE_MACHINE)
    lines = table.text([good, missing]).splitlines()
    assert lines[1].split("  ")[0] == "things"
    assert "1 100 /s" in lines[1] and "0.55 (0.50–0.60)" in lines[1] and "2 000 bare loop" in lines[1]
    assert lines[0].index("floor") == lines[1].index("≥ 0.5 × ref.")
    assert "not available" in lines[2] and "n/a" in lines[2]
    assert lines[-1] == "not available: bwrap: no such file [gone]"


def test_reasons_are_told_once():
    missing = [rows.Result(_row(name=name), missing="not available: no", yardsticks=_REFERENCE_MACHINE) for name in "ab"]
    assert table.notes(missing) == ["not available: no [a, b]"]


def test_markdown_has_one_line_for_each_row():
    lines = table.markdown([_result([1], [2]), _result([1], [2])]).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {10}


def test_json_has_every_sample():
    made = json.loads(table.as_json([_result([1, 3], [2, 4])], {"cpu": "x"}, _REFERENCE_MACHINE, {"rounds": 2}))
    row = made["rows"][0]
    assert row["samples"] == {"ours": [1, 3], "reference": [2, 4]}
    assert row["ours"] == {"median": 2, "min": 1, "max": 3, "rounds": 2}
    assert made["rounds"] == 2


def test_quantile_of_a_histogram_is_the_upper_bound_of_its_bucket():
    text = 'x_bucket{le="0.001"} 90\nx_bucket{le="0.01"} 99\nx_bucket{le="+Inf"} 100\nx_count 100\n'
    buckets = histogram.read(text, "x")
    assert histogram.quantile(buckets, 0.5) == 0.001
    assert histogram.quantile(buckets, 0.99) == 0.01
    assert histogram.quantile(buckets, 1) == float("inf")
    later = [(bound, count + more) for (bound, count), more in zip(buckets, (0, 3, 3))]
    assert histogram.quantile(histogram.since(buckets, later), 0.01) == 0.01
    with pytest.raises(Failed):
        histogram.read("", "x")
    with pytest.raises(Failed):
        histogram.quantile(histogram.since(buckets, buckets), 0.5)


class _Fake(experiment.Experiment):
    name = "fake"
    rows = (_row(name="a"), _row(name="b", ours="other", reference=""))

    def __init__(self, sides):
        self._sides = sides

    def sides(self, context):
        return self._sides


@pytest.fixture
def run(monkeypatch):
    """Runs an experiment with given sides without yardsticks' cost; returns {row: result}."""
    monkeypatch.setattr(experiment.machine, "yardsticks", lambda *_: dict(bounds.REFERENCE))

    def run_sides(*sides, rounds=3):
        context = experiment.Context(bin="", folder="", rounds=rounds)
        results, _ = experiment.run(_Fake(list(sides)), context, lambda name: True)
        return {result.row.name: result for result in results}

    return run_sides


def test_sides_take_turns(run):
    order = []
    results = run(("x", lambda: order.append("x") or {"ours": 1.0, "other": 5.0}), ("y", lambda: order.append("y") or {"ref": 2.0}))
    assert order == ["x", "y"] * 3
    assert results["a"].ratio.median == 0.5
    assert results["b"].ours.median == 5.0


def _fail(kind):
    def side():
        raise kind("out of order")
    return side


def test_a_failed_side_makes_its_rows_missing_and_no_others(run):
    results = run(("x", lambda: {"ours": 1.0, "other": 5.0}), ("ref", _fail(experiment.Unavailable)))
    assert results["a"].ours.median == 1.0
    assert results["a"].reference_missing == "not available: out of order"
    assert results["b"].missing == "" and results["b"].reference_missing == ""
    results = run(("ours", _fail(Failed)), ("y", lambda: {"ref": 2.0}))
    assert results["a"].missing == "failed in round 1: out of order"


def test_figures_of_a_side_that_failed_later_are_not_shown(run):
    answers = iter([{"ours": 1.0}, {"ours": 1.0}])

    def side():
        try:
            return next(answers)
        except StopIteration:
            raise Failed("gone") from None

    results = run(("x", side), ("y", lambda: {"ref": 2.0}))
    assert results["a"].missing == "failed in round 3: gone"


def test_no_process_of_a_failed_program_is_left(tmp_path):
    with pytest.raises(Failed):
        programs.run(["/bin/sh", "-c", f"cd {tmp_path}; exec tail -f /dev/null"], seconds=0.2)
    assert of_folder(str(tmp_path)) == set()
