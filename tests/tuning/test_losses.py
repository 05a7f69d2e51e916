import numpy as np
import pytest
import torch

from bthelpers.tuning.losses import LOSSES, row_correlations

AXES = {"across_voxels": 0, "over_time": 1}  # along which there is one correlation each
SHAPES = [(7, 5), (1, 4), (5, 1), (3, 3), (11, 30)]


def naive(predicted, actual, axis):
    """Minus the mean correlation, and how many have none, by a loop and NumPy."""
    pairs = zip(*(np.moveaxis(x, axis, 0) for x in (predicted, actual)), strict=True)
    found = [
        np.corrcoef(p, y)[0, 1] if np.ptp(p) > 0 and np.ptp(y) > 0 else np.nan for p, y in pairs
    ]
    defined = np.isfinite(found)
    return -np.mean(np.asarray(found)[defined]) if defined.any() else 0.0, (~defined).sum()


def drawn(shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return [rng.normal(3, 2, shape) for _ in range(2)]


def tensors(*arrays):
    return [torch.tensor(array, requires_grad=True) for array in arrays]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AXES)
def test_correlations_are_those_of_a_loop(name, shape):
    """Also of one TR, and of one voxel, where there is no correlation in one of the directions."""
    predicted, actual = drawn(shape)
    loss = LOSSES[name]()
    value = loss(*tensors(predicted, actual))
    expected, n_undefined = naive(predicted, actual, AXES[name])
    assert value.item() == pytest.approx(expected, abs=1e-12)
    assert loss.undefined.item() == n_undefined


@pytest.mark.parametrize("name", AXES)
def test_constant_predictions_and_responses_are_left_out_and_counted(name):
    predicted, actual = drawn((6, 6))
    for array, row in ((predicted, 1), (actual, 4)):
        np.moveaxis(array, AXES[name], 0)[row] = 0.1  # whose mean in float differs from it
    loss = LOSSES[name]()
    inputs = tensors(predicted, actual)
    value = loss(*inputs)
    value.backward()
    expected, n_undefined = naive(predicted, actual, AXES[name])
    assert value.item() == pytest.approx(expected)
    assert loss.undefined.item() == n_undefined == 2
    gradient = np.moveaxis(inputs[0].grad.numpy(), AXES[name], 0)
    assert np.isfinite(gradient).all()
    assert not gradient[[1, 4]].any()
    assert gradient[[0, 2, 3, 5]].all(axis=1).all()
    loss(*inputs)
    loss.eval()
    loss(*inputs)  # of validation, which is not counted
    assert loss.undefined.item() == 4


def test_a_count_is_part_of_the_state():
    loss = LOSSES["across_voxels"]()
    loss(torch.ones(3, 2), torch.rand(3, 2))
    again = LOSSES["across_voxels"]()
    again.load_state_dict(loss.state_dict())
    assert again.undefined.item() == 3


@pytest.mark.parametrize("name", AXES)
def test_where_nothing_has_a_correlation_the_loss_is_zero_and_so_is_its_gradient(name):
    inputs = tensors(np.ones((3, 4)), drawn((3, 4))[0])
    value = LOSSES[name]()(*inputs)
    value.backward()
    assert value.item() == 0
    assert not inputs[0].grad.any()


@pytest.mark.parametrize("shape", [(7, 5), (3, 4)])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name, shape):
    predicted, actual = drawn(shape)
    loss = LOSSES[name]()
    inputs = tensors(predicted, actual)
    loss(*inputs).backward()
    step, found = 1e-6, np.empty(shape)
    for index in np.ndindex(shape):
        change = np.zeros(shape)
        change[index] = step
        up, down = (loss(*tensors(predicted + sign * change, actual)).item() for sign in (1, -1))
        found[index] = (up - down) / (2 * step)
    np.testing.assert_allclose(inputs[0].grad.numpy(), found, atol=1e-8)


@pytest.mark.parametrize("name", AXES)
def test_neither_scale_nor_offset_of_a_correlated_row_matters(name):
    predicted, actual = drawn((5, 6))
    scale, offset = np.random.default_rng(1).uniform(0.5, 2, (2, *predicted.shape))
    along = 1 - AXES[name]
    changed = predicted * scale.mean(along, keepdims=True) + offset.mean(along, keepdims=True)
    one, other = (LOSSES[name]()(*tensors(x, actual)).item() for x in (predicted, changed))
    assert one == pytest.approx(other)


def test_squared_error_is_the_mean_over_trs_and_voxels():
    predicted, actual = drawn((4, 3))
    value = LOSSES["squared_error"]()(*tensors(predicted, actual))
    assert value.item() == pytest.approx(((predicted - actual) ** 2).mean())


@pytest.mark.parametrize("scale", [1e-18, 1e15])
def test_correlations_of_tiny_and_huge_values_in_float32(scale):
    rows = torch.tensor(drawn((4, 9))[0], dtype=torch.float32)
    r, defined = row_correlations(rows * scale, rows)
    assert defined.all()
    torch.testing.assert_close(r, torch.ones(4))
