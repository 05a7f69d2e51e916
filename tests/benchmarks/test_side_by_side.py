"""A small run of `make bench`: what it compares agrees, and what it measures is recorded."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmark_records import RECORD
from side_by_side import measuring, ridges, sliding, strides, tuning
from side_by_side.__main__ import main
from side_by_side.measuring import Comparison, Contender, measure, scaled
from torch import nn

from bthelpers.results.benchmarks.record import LIBRARY, code_digests, read_record, speeds

EXACT = {"windows, miniature": 1e-4, "tuning, miniature": 1e-4, "reading": 0}

NO_DIFFERENCE = {"difference": 0.0}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "benchmarks.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "N_STORIES", {"miniature": (1,)})
        patch.setattr(measuring, "ROUNDS", 1)
        main(["--scale", "0.02", "--output", str(path)])
    return read_record(path)


def test_all_studies_are_there_and_fresh(record):
    assert {one.study for one in record.measurements} == {ridges.VOXELS, ridges.ROWS, *EXACT}
    assert record.code.keys() == {one.study for one in record.measurements} | {strides.STUDY}
    assert record.stale == {}
    assert all(len(one.seconds) == 1 for one in record.measurements)
    assert min(record.peaks.values()) > 0


@pytest.mark.parametrize(
    ("study", "packages"),
    [
        (sliding, ["models"]),
        (tuning, ["models"]),
        (strides, ["encoding", "models", "simulation", "statistics"]),
    ],
)
def test_files_that_measured_ones_import_are_listed_too(study, packages):
    sources = [(LIBRARY / name).read_text() for name in study.CODE if name.endswith(".py")]
    imports = rf"(?m)^ *from bthelpers\.((?:{'|'.join(packages)})\.\w+) import"
    imported = {name for source in sources for name in re.findall(imports, source)}
    listed = {name.removesuffix(".py").replace("/", ".") for name in study.CODE}
    assert imported - listed <= {"models.loading"}  # weights from a file, not what is made of them


def test_a_stride_is_stale_where_filter_parameters_or_model_have_changed():
    files = code_digests(strides.CODE)
    assert {"core/timing.py", "../params/demo.yaml", f"{strides.MODEL}/model.safetensors"} <= {
        *files
    }
    assert replace(RECORD, code={strides.STUDY: files}).stale == {}
    changed = dict.fromkeys(files, "another digest")
    assert replace(RECORD, code={strides.STUDY: changed}).stale == {strides.STUDY: [*files]}


def test_ours_and_others_agree_in_full_precision(record):
    for one in record.measurements:
        if one.study in EXACT and one.precision == "float32":
            assert one.difference <= EXACT[one.study], one
        elif one.study not in EXACT and "scikit-learn" not in one.contender:
            assert one.same >= 0.95, one
            assert one.difference < 1e-3 or one.same < 1, one


def test_strides_are_compared_with_the_shortest(record):
    costs = {(one.pooling, one.stride, one.region): one for one in record.strides}
    for pooling in strides.POOLINGS:
        of_pooling = [costs[pooling, stride, "late_language"] for stride in strides.STRIDES]
        assert of_pooling[0].change == of_pooling[0].low == of_pooling[0].high == 0
        assert of_pooling[-1].low < of_pooling[-1].change < of_pooling[-1].high


def test_operations_are_counted_where_pytorch_computes(record):
    shares = speeds(record).set_index("contender")["share"]
    assert (shares[["ours, float32", "one at a time, float32"]] > 0).all()
    assert shares[["himalaya RidgeCV, NumPy", "scikit-learn RidgeCV"]].isna().all()


@pytest.mark.parametrize("groups", [1, 4])
def test_gradients_of_a_convolution_take_twice_its_operations(groups):
    convolution = nn.Conv1d(8, 8, 3, groups=groups, bias=False)
    sound = torch.ones(2, 8, 12, requires_grad=True)
    forward, _ = measuring._counted(lambda: convolution(sound))
    assert forward == 2 * 2 * 10 * 8 * (8 // groups) * 3
    assert measuring._counted(lambda: convolution(sound).sum().backward())[0] == 3 * forward


def test_fused_attention_is_counted_as_its_products_are():
    """By hand: 2 · 5 · 6 · 4 for each of two products; backward takes two and a half times that."""
    query, key, value = (torch.ones(1, 1, rows, 4, requires_grad=True) for rows in (5, 6, 6))

    def attention():
        nn.functional.scaled_dot_product_attention(query, key, value).sum().backward()

    comparison = Comparison("study", 1, "", [Contender("a", attention)], lambda *_: NO_DIFFERENCE)
    (measured,) = measure(comparison)
    assert measured.operations == (2 + 5) * 2 * 5 * 6 * 4


def test_kernels_have_no_more_rows_than_there_are_features():
    names = {
        rows: {one.name for one in ridges.contenders(ridges.planted(rows, 4, n_columns=20))}
        for rows in (20, 30)
    }
    assert {name for name in names[20] - names[30]} == {
        f"himalaya KernelRidgeCV, {backend}" for backend in ("NumPy", "PyTorch")
    }


def test_contenders_take_turns_and_each_round_begins_with_another():
    order = []

    def contender(name):
        return Contender(name, lambda: order.append(name) or torch.ones(2, 3) @ torch.ones(3, 4))

    comparison = Comparison(
        "study",
        1,
        "voxels",
        [contender("a"), contender("b")],
        lambda *_: NO_DIFFERENCE,
    )
    a, b = measure(comparison)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert (a.contender, b.contender) == ("a", "b")
    assert a.operations == 2 * 2 * 3 * 4
    assert a.difference == 0


@pytest.mark.parametrize("scale", [0.001, 0.02, 1, 3])
def test_amounts_of_work_grow_at_every_scale(scale):
    one, ten, hundred = scaled([10, 100, 1000], scale, least=5)
    assert 5 <= one < ten < hundred
    if scale >= 1:
        assert [one, ten, hundred] == [10 * scale, 100 * scale, 1000 * scale]


def test_what_is_planted_can_be_predicted():
    problem = ridges.planted(200, 50, n_columns=60)
    fitted = ridges.ours(problem, np.float64)
    actual = problem.Y_test - problem.Y_test.mean(axis=0)
    r = (fitted.predicted * actual).mean(axis=0) / fitted.predicted.std(axis=0) / actual.std(axis=0)
    assert r.mean() > 0.1
    assert problem.folds.tolist() == sorted(problem.folds.tolist())
    assert len(set(problem.folds)) == ridges.N_FOLDS


@pytest.mark.parametrize("scale", ["0", "-1", "nan"])
def test_a_scale_that_is_none_is_refused(scale, capsys):
    with pytest.raises(SystemExit):
        main([f"--scale={scale}"])
    assert "has to be above 0" in capsys.readouterr().err
