import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.data.files import read_columns


@settings(max_examples=60)
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 40), st.integers(1, 9)),
        st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(1, 9)),
    ),
    dtype=st.sampled_from(["<f8", ">f8", "<f4"]),
    data=st.data(),
)
def test_columns_do_not_depend_on_storage(tmp_path_factory, shape, dtype, data):
    chunks = data.draw(st.one_of(st.none(), st.tuples(*(st.integers(1, n) for n in shape))))
    columns = data.draw(st.lists(st.integers(0, shape[-1] - 1), max_size=12))
    block = data.draw(st.sampled_from([1, 100, 6_000_000]))
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    path = tmp_path_factory.mktemp("storage") / "a.hf5"
    with h5py.File(path, "w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("bthelpers.data.files.BLOCK_BYTES", block)
        compression = None if chunks is None else "gzip"
        array = file.create_dataset("data", data=values, chunks=chunks, compression=compression)
        read = read_columns(array, np.array(columns, int))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[..., columns].astype(np.float32))


class CountedReads:
    """Stands for an HDF5 array and remembers what was read."""

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.ndim, self.dtype = shape, chunks, len(shape), np.dtype("f8")
        self.times = np.zeros(shape, int)
        self.blocks = []

    def __getitem__(self, index):
        self.times[index] += 1
        self.blocks.append(index)
        return np.zeros(self.times[index].shape)


@pytest.mark.parametrize("chunks", [None, (3, 7, 20), (1, 100, 33)])
def test_each_chunk_is_read_once_and_only_the_span_of_the_columns(monkeypatch, chunks):
    monkeypatch.setattr("bthelpers.data.files.BLOCK_BYTES", 8 * 41 * 25)
    array = CountedReads((5, 100, 60), chunks)
    read_columns(array, np.array([50, 10, 30]))
    np.testing.assert_array_equal(array.times[..., 10:51], 1)
    np.testing.assert_array_equal(array.times.sum(axis=(0, 1)), np.repeat([0, 500, 0], [10, 41, 9]))
    rows_at_once = 25 if chunks is None else chunks[0] * chunks[1]
    for *rows, _ in array.blocks:
        assert np.prod([axis.stop - axis.start for axis in rows]) <= max(rows_at_once, 25)
        if chunks is not None:
            assert [axis.start % chunk for axis, chunk in zip(rows, chunks[:2], strict=True)] == [
                0,
                0,
            ]


def test_reading_few_voxels_takes_little_memory(tmp_path):
    shape = (2000, 9000)  # 144 MB, of which HDF5 stores none
    with h5py.File(tmp_path / "a.hf5", "w") as file:
        array = file.create_dataset("data", shape, "f8")
        tracemalloc.start()
        read_columns(array, np.arange(0, 9000, 900))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8_000_000
