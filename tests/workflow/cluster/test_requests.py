"""What runs ask a cluster for: the table of steps, and what a cluster's file says otherwise."""

from pathlib import Path

import pytest
import yaml

from bthelpers.params.loading import load
from bthelpers.params.schema import ParameterError
from bthelpers.workflow.cluster.requests import Request, cluster_file, requests
from bthelpers.workflow.steps import STEPS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def asked(tmp_path):
    """What runs ask for where a cluster's file holds these options."""

    def ask(profile="smoke", gpus=True, shared=1, **options):
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump(options))
        changes = {"gpus_per_tuning": shared, "tuning.sharing": "window"}
        return requests(load(ROOT / f"params/{profile}.yaml", changes), file, gpus)

    return ask


def test_runs_ask_for_what_the_table_says():
    profile = load(ROOT / "params/smoke.yaml")
    found = requests(profile, cluster_file(ROOT, "slurm"))
    tuning = STEPS["tuning"]
    assert found["tuning"] == Request(tuning.threads, tuning.megabytes, tuning.minutes, gpu=1)
    assert found["voxels"].gpu == 0
    assert found.keys() == STEPS.keys() - {"joint"}


def test_steps_without_a_run_ask_for_nothing(asked):
    assert not {"dataset", "corpora", "joint", "similarity"} & asked("paper").keys()


def test_without_gpus_no_run_asks_for_one(asked):
    assert {request.gpu for request in asked(gpus=False).values()} == {0}


def test_a_tuning_that_gpus_share_asks_for_all_of_them(asked):
    alone, shared = asked(), asked(shared=4)
    for name, request in shared.items():
        one, n = alone[name], 4 if name in ("tuning", "control", "targets") else 1
        assert request == Request(n * one.threads, n * one.mem_mb, one.runtime, n * one.gpu)
    without = asked(shared=4, gpus=False)["tuning"]
    assert (without.gpu, without.threads) == (0, 4 * alone["tuning"].threads)


def test_fewer_gpus_than_processes_are_refused(asked):
    told = r"config\.yaml: tuning: gpu is 2, and gpus_per_tuning of the profile 4"
    with pytest.raises(ParameterError, match=told):
        asked(shared=4, **{"set-resources": {"tuning": {"gpu": 2}}})


def test_the_file_says_otherwise_for_all_steps_or_one(asked):
    of_step = {"voxels": {"slurm_partition": "'cpu'", "mem_mb": 1000}, "tuning": {"runtime": 60}}
    found = asked(
        **{
            "default-resources": {
                "slurm_account": "\"'lab'\"",
                "slurm_partition": "gpu",
                "nodes": 1,
                "mem_mb": 99,
            },
            "set-resources": of_step,
            "set-threads": {"tuning": 8},
        }
    )
    assert found["voxels"] == Request(4, 1000, 240, 0, "cpu", "lab")
    assert found["tuning"] == Request(8, 24_000, 60, 1, "gpu", "lab")


def test_an_account_that_is_a_number_is_text(asked):
    assert asked(**{"default-resources": {"slurm_account": 123}})["tuning"].slurm_account == "123"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"set-resources": {"tunning": {"mem_mb": 1}}},
            "no step 'tunning'; the nearest is 'tuning'",
        ),
        ({"set-threads": {"voxel": 1}}, "no step 'voxel'; the nearest is 'voxels'"),
        (
            {"set-resources": {"tuning": {"runtime": "2d"}}},
            r"config\.yaml: tuning: runtime is a whole number, not '2d'",
        ),
        ({"set-resources": ["tuning"]}, r"config\.yaml is truncated or no profile of Snakemake"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(asked, options, message):
    with pytest.raises(ParameterError, match=message):
        asked(**options)


@pytest.mark.parametrize("name", ["slrum", "", "../slurm", "slurm/"])
def test_an_unknown_cluster_is_named(name):
    with pytest.raises(ParameterError, match=f"no cluster {name!r}; the nearest is 'slurm'"):
        cluster_file(ROOT, name)
