"""A real SLURM on this machine: a controller and nodes, each a daemon, in a temporary folder."""

import ctypes
import os
import pwd
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, suppress

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "scontrol")
PATIENCE = 300  # seconds; machines may be busy
NODES = ("gpu1", "gpu2", "plain1")
# Nodes say that they have more than there is: what runs ask for is that of the table of steps. A
# node that is silent for some seconds is down, and its runs begin again after some more.
CONFIGURATION = """
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SlurmdTimeout=6
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=1
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName=gpu[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]} CPUs=8 \\
 RealMemory=64000 Gres=gpu:1
NodeName=plain1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[3]} CPUs=8 RealMemory=64000
PartitionName=gpu Nodes=gpu[1-2] Default=YES MaxTime=3-00:00:00
PartitionName=short Nodes=gpu[1-2] MaxTime=60
PartitionName=plain Nodes=plain1
"""
GPUS = "NodeName=gpu[1-2] Name=gpu File=/dev/null\n"


SRUN = """#!/bin/sh
# Snakemake's plugin takes away what says where SLURM's configuration is.
SLURM_CONF={root}/slurm.conf exec {srun} "$@"
"""
SUBREAPER = 36  # of <linux/prctl.h>
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"  # where daemons are, to users too


def missing():
    """Programs of SLURM that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def free_ports(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def keep_orphans():
    """What a daemon starts stays below it, also where that which started it has ended."""
    ctypes.CDLL(None).prctl(SUBREAPER, 1)


class TrialSlurm:
    """A SLURM with two nodes that have a GPU each, in name, and one that has none."""

    def __init__(self, root):
        self.root = root
        for name in ("munge", "state", "bin", *NODES):
            (root / name).mkdir()
        (root / "munge/key").write_bytes(os.urandom(1024))
        (root / "munge/key").chmod(0o400)
        values = {"root": root, "host": socket.gethostname(), "ports": free_ports(4)}
        user = pwd.getpwuid(os.getuid()).pw_name
        (root / "slurm.conf").write_text(CONFIGURATION.format(user=user, **values))
        (root / "gres.conf").write_text(GPUS)
        (root / "bin/srun").write_text(SRUN.format(root=root, srun=shutil.which("srun")))
        (root / "bin/srun").chmod(0o755)
        self.environment = {
            "SLURM_CONF": f"{root}/slurm.conf",
            "PATH": f"{root}/bin{os.pathsep}{PATH}",
        }
        self.daemons = {}

    def start(self):
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
        munge = [f"--{name}={self.root}/munge/{file}" for name, file in files.items()]
        # Forced, since others may not look into folders of tests.
        self._start("munged", "--foreground", "--force", *munge)
        eventually((self.root / "munge/socket").exists)
        self._start("slurmctld", "-D")
        for node in NODES:
            self._start("slurmd", "-D", "-N", node, name=node)
        eventually(lambda: self.states() == dict.fromkeys(NODES, "idle"))

    def states(self):
        """What each node is doing."""
        listed = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split() for line in listed)

    def ask(self, *command):
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True).stdout

    def lose(self, node):
        """Have a node disappear: its daemon, and all that runs on it."""
        daemon = self.daemons.pop(node)
        for process in (daemon, *daemon.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        daemon.wait()

    def stop(self):
        for name in reversed(list(self.daemons)):
            self.lose(name)

    def _start(self, program, *options, name=None):
        with (self.root / f"{name or program}.out").open("w") as said:
            self.daemons[name or program] = psutil.Popen(
                [shutil.which(program, path=PATH), *options],
                env=os.environ | self.environment,
                stdout=said,
                stderr=said,
                preexec_fn=keep_orphans,
            )
