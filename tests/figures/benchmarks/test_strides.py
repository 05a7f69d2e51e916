from benchmark_records import RECORD
from drawn_figures import drawn

from bthelpers.figures.benchmarks.strides import stride_curves


def test_change_is_drawn_against_cost_for_each_pooling():
    language, auditory = drawn(stride_curves(RECORD.strides)).axes
    assert (language.get_title(), auditory.get_title()) == ("Late language", "Primary auditory")
    lines = [bars.lines[0].get_xydata().tolist() for bars in language.containers]
    assert lines == [[[40, 0], [2, -0.03]]] * 2
    assert [text.get_text() for text in language.texts] == ["0.1 s", "2 s"] * 2
