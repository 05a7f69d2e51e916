import multiprocessing
import os
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bthelpers.core.errors import DatasetError, ResultsError
from bthelpers.data import response_cache
from bthelpers.data.response_cache import cached, read_columns

VALUES = np.random.default_rng(0).standard_normal((7, 5))
COLUMNS = np.array([3, 0, 4])


def write(path, values=VALUES, **storage):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values, **storage)
    return path


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "UTS01/legacy.hf5")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """Files whose arrays were read: what is served by the cache is not among them."""
    read = []

    def counting(array, columns):
        read.append(Path(array.file.filename).name)
        return read_columns(array, columns)

    monkeypatch.setattr(response_cache, "read_columns", counting)
    return read


def get(folder, source, columns=COLUMNS):
    with h5py.File(source) as file:
        return cached(folder, file["data"], columns)


def entries(folder):
    return sorted(folder.glob("*.npy"))


def test_the_second_read_is_mapped_and_the_same(folder, source, reads):
    first, second = get(folder, source), get(folder, source)
    assert reads == ["legacy.hf5"]
    assert second.dtype == np.float32
    assert isinstance(second.base, np.memmap)
    assert not second.flags.writeable
    np.testing.assert_array_equal(first, VALUES[:, COLUMNS].astype(np.float32))
    np.testing.assert_array_equal(second, first)


def touched(source):
    """Another time of modification, by the smallest step that there is."""
    status = source.stat()
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    return source


def overwritten(source):
    """The same size and time of modification."""
    status = source.stat()
    source.write_bytes(source.read_bytes())
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    return source


def grown(source):
    """Another size at the same time of modification."""
    status = source.stat()
    with source.open("ab") as file:
        file.write(b"\0")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    return source


def moved(source):
    """Another path with the same size and time of modification."""
    target = source.with_name("souls.hf5")
    os.link(source, target)
    return target


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (touched, COLUMNS),
        (overwritten, COLUMNS),
        (grown, COLUMNS),
        (moved, COLUMNS),
        (lambda source: source, COLUMNS[::-1]),
        (lambda source: source, COLUMNS[:2]),
        (lambda source: source, np.append(COLUMNS, 1)),
    ],
    ids=["mtime", "in place", "size", "file", "order of voxels", "fewer voxels", "more voxels"],
)
def test_whatever_changes_the_responses_changes_the_key(folder, source, reads, change, columns):
    get(folder, source)
    source = change(source)
    np.testing.assert_array_equal(
        get(folder, source, columns), VALUES[:, columns].astype(np.float32)
    )
    assert len(reads) == 2


def test_the_key_is_of_columns_and_not_of_how_they_are_stored(folder, source, reads):
    for dtype in (np.int64, np.int32, np.uint16, ">i8"):
        get(folder, source, COLUMNS.astype(dtype))
    assert len(reads) == 1


def test_a_link_to_a_file_is_that_file(folder, source, reads, tmp_path):
    get(folder, source)
    (tmp_path / "link.hf5").symlink_to(source)
    get(folder, tmp_path / "link.hf5")
    assert len(reads) == 1


def test_a_replaced_file_replaces_its_entry_and_no_other(folder, source):
    write(source.with_name("souls.hf5"))
    for name in ("legacy.hf5", "souls.hf5"):
        for columns in (COLUMNS, COLUMNS[:1]):
            get(folder, source.with_name(name), columns)
    before = entries(folder)
    old = get(folder, source)
    write(source, values=VALUES + 1)
    touched(source)
    np.testing.assert_array_equal(get(folder, source), (VALUES[:, COLUMNS] + 1).astype(np.float32))
    np.testing.assert_array_equal(
        old, VALUES[:, COLUMNS].astype(np.float32)
    )  # who maps it keeps it
    after = entries(folder)
    assert len(after) == len(before) == 4
    assert len(set(after) & set(before)) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: b"\0" * len(content),
        lambda content: content.replace(b"(7, 3)", b"(3, 7)"),
        lambda content: content.replace(b"(7, 3)", b"(7, 3"),
        lambda content: content.replace(b"<f4", b"<i4"),
    ],
    ids=["empty", "in its header", "one byte short", "zeros", "shape", "brackets", "dtype"],
)
def test_a_damaged_entry_is_written_again(folder, source, reads, damage):
    get(folder, source)
    (entry,) = entries(folder)
    entry.write_bytes(damage(entry.read_bytes()))
    np.testing.assert_array_equal(get(folder, source), VALUES[:, COLUMNS].astype(np.float32))
    assert len(reads) == 2
    assert entries(folder) == [entry]


def test_nothing_unfinished_is_kept_on_a_full_disk(folder, source, monkeypatch):
    def half(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(ResultsError, match=r"UTS01-legacy-.*was not written: .*No space left"):
        get(folder, source)
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_place_that_can_be_no_folder_is_named_with_a_remedy(tmp_path, source):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"file cannot keep responses \(.*under dataset\.cache"):
        get(tmp_path / "file", source)


def test_an_entry_stays_where_the_new_file_is_damaged(folder, source, monkeypatch):
    get(folder, source)
    before = entries(folder)
    path = write(source, VALUES, chunks=(3, 5), compression="gzip")
    with h5py.File(path) as file:
        start = file["data"].id.get_chunk_info(1).byte_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * 8)
    with pytest.raises(DatasetError, match=r"legacy\.hf5 is truncated or .*download it again"):
        get(folder, source)
    assert entries(folder) == before


def test_no_voxel_is_a_selection_too(folder, source, reads):
    for _ in range(2):
        assert get(folder, source, np.array([], int)).shape == (7, 0)


def test_processes_that_come_together_agree(folder, source):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.starmap(get, [(folder, source)] * 12)
    for responses in found:
        np.testing.assert_array_equal(responses, VALUES[:, COLUMNS].astype(np.float32))
    (entry,) = entries(folder)
    assert {path.name for path in folder.iterdir()} == {".lock", entry.name, f"{entry.name}.sha256"}


# Reading by blocks


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
        patch.setattr("bthelpers.data.response_cache.BLOCK_BYTES", block)
        compression = None if chunks is None else "gzip"
        array = file.create_dataset("data", data=values, chunks=chunks, compression=compression)
        read = read_columns(array, np.array(columns, int))
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[..., columns].astype(np.float32))


class CountedReads:
    """Stands for an HDF5 array and remembers what was read."""

    def __init__(self, shape, chunks):
        self.shape, self.chunks, self.ndim, self.dtype = shape, chunks, len(shape), np.dtype("f8")
        self.file = SimpleNamespace(filename="counted.hf5")
        self.times = np.zeros(shape, int)
        self.blocks = []

    def __getitem__(self, index):
        self.times[index] += 1
        self.blocks.append(index)
        return np.zeros(self.times[index].shape)


@pytest.mark.parametrize("chunks", [None, (3, 7, 20), (1, 100, 33)])
def test_each_chunk_is_read_once_and_only_the_span_of_the_columns(monkeypatch, chunks):
    monkeypatch.setattr("bthelpers.data.response_cache.BLOCK_BYTES", 8 * 41 * 25)
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
