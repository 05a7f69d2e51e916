import pandas as pd
from benchmark_records import RECORD
from drawn_figures import drawn

from bthelpers.figures.benchmarks.speed import growth_curves, speed_bars
from bthelpers.results.benchmarks.record import largest, speeds


def test_bars_are_speeds_with_the_agreement_of_results_beside_them():
    figure = drawn(speed_bars(largest(speeds(RECORD))))
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2, 1, 0.5, 4]
    assert axes.get_title() == "ridge: 10 voxels"
    said = [text.get_text() for text in axes.texts]
    assert said[0] == "2 ×   Δ 1e-06, same penalty 99.9%"
    assert "Δ 2e-02" in said[1]


def test_lines_are_seconds_of_each_contender_by_the_amount_of_work():
    (axes,) = drawn(growth_curves(speeds(RECORD))).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["ours"].get_xydata().tolist() == [[1, 1], [10, 2]]
    assert lines["a"].get_xydata().tolist() == [[1, 1], [10, 4]]
    assert (axes.get_xlabel(), axes.get_xscale(), axes.get_yscale()) == ("Voxels", "log", "log")


def test_a_study_of_one_size_has_no_growth():
    rows = largest(speeds(RECORD)).assign(study="one size")
    several = speeds(RECORD)
    (axes,) = drawn(growth_curves(pd.concat([several, rows]))).axes
    assert axes.get_title() == "ridge"
