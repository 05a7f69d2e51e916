"""A record of benchmarks, small enough to be followed by hand."""

from bthelpers.results.benchmarks.record import Measurement, Record
from bthelpers.results.benchmarks.strides import StrideCost


def measurement(contender, size, seconds, **changes):
    values = {"study": "ridge", "unit": "voxels", "ours": contender == "ours"}
    values |= {"precision": "float32", "operations": None, "difference": 1e-6, "same": 0.999}
    return Measurement(contender=contender, size=size, seconds=seconds, **(values | changes))


RECORD = Record(
    provenance={
        "machine": "a processor, 2 cores",
        "date": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef-dirty",
        "parameters": '{"scale":1.0,"threads":2}',
    },
    peaks={"float32": 100.0},
    code={"ridge": {}},
    measurements=[
        measurement("ours", 1, [1.0, 1.0, 1.0]),
        measurement("a", 1, [1.0, 1.0, 1.0]),
        measurement("ours", 10, [9.0, 2.0, 1.0], operations=150),
        measurement("a", 10, [4.0, 4.0, 5.0], difference=0.02),
        measurement("b", 10, [8.0, 1.0, 9.0], precision="float64"),
        measurement("half", 10, [1.0, 1.0, 1.0], precision="bfloat16"),
    ],
    strides=[
        StrideCost(pooling, stride, region, 4 / stride, 0.2 / stride, *change)
        for pooling in ("last", "stride")
        for stride, change in ((0.1, (0.0, 0.0, 0.0)), (2.0, (-0.03, -0.055, -0.005)))
        for region in ("late_language", "primary_auditory")
    ],
)
