"""Slurm on one node: munged, slurmctld and slurmd of our own on loopback, everything in one folder."""

import os
import re
import secrets
import socket
import subprocess
import time

from bench.driver.experiment import Unavailable
from bench.driver.programs import Failed
from tests.harness import processes
from tests.harness.waiting import until

_CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides

MaxArraySize=20001
MaxJobCount=50000
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs={cores} RealMemory=100 State=UNKNOWN
PartitionName=bench Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def _free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Slurm:
    """A running cluster of one node with `cores` slots. `stack` takes its clean-up."""

    def __init__(self, folder, host, cores, stack):
        self.folder = folder
        self._processes = []
        self._environment = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "SLURM_CONF": f"{folder}/slurm.conf"}
        for name in ("state", "spool"):
            os.makedirs(os.path.join(folder, name))
        self._write("slurm.conf", _CONFIGURATION.format(
            host=host, folder=folder, cores=cores, controller_port=_free_port(), node_port=_free_port()).encode())
        self._write("munge.key", secrets.token_bytes(128))
        stack.callback(self._clean)
        self._processes.append(
            self._start("munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.sock",
                        f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"))
        until(lambda: os.path.exists(f"{folder}/munge.sock"), "munged")
        self._processes += [self._start("slurmctld", "-D", "-c"), self._start("slurmd", "-D", "-c", "-N", host)]
        until(self._idle, "Slurm's node idle", 30)

    def _write(self, name, content):
        with open(os.open(os.path.join(self.folder, name), os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)

    def _start(self, *command):
        with open(os.path.join(self.folder, f"{command[0]}.out"), "wb") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment, cwd=self.folder)

    def _run(self, *command):
        return subprocess.run(command, env=self._environment, cwd=self.folder, capture_output=True, text=True, check=False)

    def _idle(self):
        for process in self._processes:
            if process.poll() is not None:
                with open(os.path.join(self.folder, f"{process.args[0]}.out"), encoding="utf-8", errors="replace") as file:
                    raise Unavailable(f"{process.args[0]} does not start here: {file.read()[-200:].strip()}")
        return "idle" in self._run("sinfo", "-h", "-o", "%t").stdout

    def rate(self, count):
        """Tasks a second of one array of `count`; Failed unless each completed."""
        began = time.monotonic()
        answer = self._run("sbatch", "--parsable", f"--array=1-{count}", "-n1", "-o", "/dev/null", "--wrap", "/bin/true")
        if answer.returncode != 0:
            raise Failed(f"sbatch: {answer.stderr}")
        job = answer.stdout.strip().split(";")[0]
        until(lambda: not self._run("squeue", "-h", "-j", job).stdout.strip(), f"array of {count} done", 300)
        seconds = time.monotonic() - began
        states = re.findall(r"JobState=(\w+)", self._run("scontrol", "show", "job", job).stdout)
        if states != ["COMPLETED"] * count:
            raise Failed(f"Slurm: {len(states)} of {count} jobs, {set(states)}")
        return count / seconds

    def _clean(self):
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        processes.kill_all_of(self.folder)
