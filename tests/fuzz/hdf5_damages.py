"""Damages to files of HDF5: another array, link or group in place of one."""

from collections.abc import Callable

import h5py
import numpy as np


def _of_type(dtype) -> Callable[[h5py.Group, str, np.ndarray], None]:
    def write(parent, name, values):
        parent.create_dataset(name, data=np.nan_to_num(values).astype(dtype))

    return write


def _of_shape(*shape) -> Callable[[h5py.Group, str, np.ndarray], None]:
    def write(parent, name, values):
        chunks = tuple(min(n, 64) for n in shape) if all(shape) else None
        parent.create_dataset(name, shape, values.dtype, chunks=chunks)

    return write


def _text(parent, name, values):
    parent.create_dataset(name, data=["x"] * len(values), dtype=h5py.string_dtype())


def _compound(parent, name, values):
    parent.create_dataset(name, data=np.zeros(len(values), [("a", "<f8"), ("b", "<i4")]))


def _references(parent, name, values):
    parent.create_dataset(name, (len(values),), h5py.ref_dtype)


def _soft_link(parent, name, values):
    parent[name] = h5py.SoftLink("/nowhere")


def _link_to_itself(parent, name, values):
    parent[name] = h5py.SoftLink(f"/{name}")


def _external_link(parent, name, values):
    parent[name] = h5py.ExternalLink("/etc/passwd", "/x")


def _external_storage(parent, name, values):
    external = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    parent.create_dataset(name, values.shape, values.dtype, external=external)


def _virtual(parent, name, values):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("nowhere.h5", "x", values.shape)
    parent.create_virtual_dataset(name, layout)


def _transposed(parent, name, values):
    parent.create_dataset(name, data=values.T)


def _repeated(parent, name, values):
    parent.create_dataset(name, data=np.concatenate([values, values]))


def _cut(parent, name, values):
    parent.create_dataset(name, data=values[:-1])


def _not_finite(parent, name, values):
    values = values.astype(float)
    values.flat[:: max(1, values.size // 3)] = np.nan
    parent.create_dataset(name, data=values)


def _huge(parent, name, values):
    parent.create_dataset(name, data=np.full(values.shape, 1e300))


def _group(parent, name, values):
    parent.create_group(name)


def _empty(parent, name, values):
    parent.create_dataset(name, data=h5py.Empty("f8"))


def _left_out(parent, name, values):
    pass


ARRAYS = [
    *map(_of_type, ["<f4", ">f8", "<f2", "<i8", "u1", "?", "<c16", "S3", np.longdouble]),
    *(_of_shape(*shape) for shape in [(0,), (0, 0), (1,), (10**6, 10**9), (1, 10**12), (2,) * 8]),
    *(_text, _compound, _references, _soft_link, _link_to_itself, _external_link, _group, _empty),
    *(_external_storage, _virtual, _transposed, _repeated, _cut, _not_finite, _huge, _left_out),
]


def hdf5_changed(path, rng):
    """Another array, link or group in place of one."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, at: names.append(name) if hasattr(at, "shape") else None)
        name = names[rng.integers(len(names))]
        values = file[name][()]
        del file[name]
        ARRAYS[rng.integers(len(ARRAYS))](file, name, np.atleast_1d(values))


HDF5 = (hdf5_changed,) * 12
