"""What SLURM has and refuses, as stand-ins for its commands say it."""

import pytest

from bthelpers.params.schema import ParameterError
from bthelpers.workflow.cluster import slurm
from bthelpers.workflow.cluster.requests import Request

ASKED = Request(threads=4, mem_mb=16_000, runtime=240, gpu=1)
GPU = slurm.Partition(default=True, minutes=2880, cores=16, megabytes=64_000, gpus=4)
PLAIN = slurm.Partition(default=False, minutes=60, cores=2, megabytes=8_000, gpus=0)


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Write stand-ins of SLURM's commands, which say nothing unless told otherwise."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(name, script=""):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    for name in (*slurm.COMMANDS, "sacctmgr", "sshare"):
        write(name)
    return write


def test_partitions_are_read_as_sinfo_lists_them():
    listed = [
        *(
            "gpu*|2-00:00:00|16|64000|gpu:a100:2(S:0-1),gpu:v100:2,nvme:1",
            "cpu|30:00|64|256000|(null)",
        ),
        *("gpu*|2-00:00:00|8|32000|(null)", "long|infinite|8|1|gpu:1", "day|1:30:00|8|1|gpus:3"),
    ]
    found = slurm.parse_partitions(listed)
    assert found["gpu"] == slurm.Partition(True, 2880, 16, 64_000, 4)
    assert found["cpu"] == slurm.Partition(False, 30, 64, 256_000, 0)
    assert found["long"].minutes == float("inf")
    assert (found["day"].minutes, found["day"].gpus) == (90, 0)


def test_commands_that_are_not_there_are_named(commands, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(ParameterError, match=r"sinfo, sbatch, .* not found: start this where jobs"):
        slurm.partitions()


def test_a_controller_that_does_not_answer_is_told(commands):
    commands("sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(
        ParameterError, match=r"does not answer: Unable to contact slurm controller$"
    ):
        slurm.partitions()


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ("gpus", "a, b: the cluster has no partition 'gpus'; the nearest is 'gpu'"),
        ("plain", "a, b: partition 'plain' has no nodes with a GPU (GPUS=0 computes without), and"),
        ("plain", "a, b: partition 'plain' has no nodes of more than 2 cores, and 4 are asked for"),
        ("plain", "a, b: partition 'plain' has no nodes of more than 8000 MB, and 16000 are"),
        ("plain", "a, b: partition 'plain' has no runs of more than 60 minutes, and 240 are asked"),
    ],
)
def test_what_a_partition_lacks_is_told_once_for_all_steps(commands, partition, message):
    request = Request(4, 16_000, 240, 1, partition)
    told = slurm.problems({"a": request, "b": request}, {"gpu": GPU, "plain": PLAIN})
    assert sum(line.startswith(message) for line in told) == 1


def test_nodes_with_too_few_gpus_are_told(commands):
    [told] = slurm.problems({"a": Request(4, 16_000, 240, 8)}, {"gpu": GPU})
    assert told == (
        "a: partition 'gpu' has no nodes of more than 4 GPUs (GPUS=0 computes without), and 8 is"
        " asked for"
    )


def test_where_no_partition_is_the_default_one_is_to_be_named(commands):
    [told] = slurm.problems({"a": ASKED}, {"plain": PLAIN})
    assert told == "a: no partition is the cluster's default: name one of plain"


def test_slurm_is_asked_for_what_snakemake_will_ask(commands, tmp_path):
    commands("sbatch", f'echo "$@" >> {tmp_path}/asked')
    request = Request(4, 16_000, 240, 1, "gpu", "lab")
    assert slurm.problems({"a": request, "b": ASKED}, {"gpu": GPU}) == []
    assert (tmp_path / "asked").read_text().splitlines() == [
        "--test-only --time=240 --mem=16000 --cpus-per-task=4 --nodes=1 --gpus=1 --partition=gpu"
        " --account=lab --wrap=true",
        "--test-only --time=240 --mem=16000 --cpus-per-task=4 --nodes=1 --gpus=1 --wrap=true",
    ]


def test_an_account_that_slurm_refuses_is_told_in_its_words(commands):
    words = "allocation failure: Invalid account or account/partition combination specified"
    commands("sbatch", f"echo '{words}' >&2; exit 1")
    [told] = slurm.problems({"a": ASKED}, {"gpu": GPU})
    assert told == f"a: SLURM refuses it: {words}"


def test_an_account_that_is_not_the_users_is_told_with_those_that_are(commands):
    commands("sacctmgr", "echo lab")
    request = Request(4, 16_000, 240, 1, slurm_account="lib")
    [told] = slurm.problems({"a": request}, {"gpu": GPU})
    assert told.startswith("a: the account 'lib' is refused: ")
    assert "Available accounts: lab" in told


@pytest.mark.parametrize(("kind", "kept"), [("slurmdbd", True), ("none", False), ("(null)", False)])
def test_whether_there_is_a_database_of_jobs(commands, kind, kept):
    name = kind if kind == "(null)" else f"accounting_storage/{kind}"
    commands("scontrol", f"echo 'AccountingStorageType   = {name}'")
    assert slurm.keeps_accounts() is kept


def test_further_attempts_are_granted_what_the_partition_has():
    endless = slurm.Partition(False, float("inf"), 8, 9_000, 0)
    wanted = {"a": ASKED, "b": Request(1, 1, 1, 0, "long")}
    assert slurm.most(wanted, {"gpu": GPU, "long": endless}) == {
        "a": {"gpu": 1, "mem_mb": 64_000, "runtime": 2880},
        "b": {"gpu": 0, "mem_mb": 9_000},
    }
