"""Peers that run the same `true` tasks on this machine, timed in the same run. None of them promises what Boxkeeper does."""

import concurrent.futures
import contextlib
import os
import shutil
import socket
import subprocess
import time

from bench.driver import launch, programs
from bench.driver.bounds import Ratio
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment, Unavailable
from bench.driver.rows import Row
from bench.driver.slurm import Slurm
from tests.harness import processes
from tests.harness.waiting import until

CALLS = 4
# Slurm starts what fits about once a second: with 4 slots it runs 5 such tasks a second. Its best is what we compare with.
_SLURM_SLOTS = 64


def _need(*names):
    for name in names:
        if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise Unavailable(f"{name} is not installed (tools/setup --bench)")


def _rate(count, began):
    return count / (time.monotonic() - began)


def parallel(context, count):
    """GNU parallel, one job per argument."""
    _need("parallel")
    environment = {**os.environ, "HOME": context.folder, "PARALLEL_HOME": context.folder}
    began = time.monotonic()
    done = subprocess.run(["parallel", "--will-cite", f"-j{CALLS}", "-N0", "/bin/true", ":::", *map(str, range(count))],
                          env=environment, capture_output=True, check=False)
    if done.returncode != 0:
        raise programs.Failed(f"parallel: {done.returncode} {done.stderr[-200:]}")
    return _rate(count, began)


def task_spooler(context, count):
    """tsp with as many slots; each task is queued by its own call, as its users do."""
    _need("tsp")
    environment = {**os.environ, "TS_SOCKET": os.path.join(context.folder, "tsp.sock"), "TMPDIR": context.folder, "TS_MAXFINISHED": str(count)}

    def tsp(*arguments):
        return subprocess.run(["tsp", *arguments], env=environment, capture_output=True, check=True, text=True).stdout

    try:
        tsp("-S", str(CALLS))
        began = time.monotonic()
        subprocess.run(["/bin/sh", "-c", f"i=0; while [ $i -lt {count} ]; do tsp -n /bin/true; i=$((i+1)); done; tsp -w"], env=environment,
                       stdout=subprocess.DEVNULL, check=True)
        until(lambda: tsp("-l").count("finished") == count, "every task finished")
        return _rate(count, began)
    except subprocess.CalledProcessError as error:
        raise programs.Failed(f"tsp: {error} {error.stderr}") from None
    finally:
        subprocess.run(["tsp", "-K"], env=environment, capture_output=True, check=False)


def thread_pool(_context, count):
    """A Python executor as schedulers have it: threads and plain subprocesses, nothing durable, no logs."""
    with concurrent.futures.ThreadPoolExecutor(CALLS) as pool:
        began = time.monotonic()
        codes = list(pool.map(lambda _: subprocess.run(["/bin/true"], check=False).returncode, range(count)))
    if any(codes):
        raise programs.Failed("a subprocess failed")
    return _rate(count, began)


class Docker:
    """dockerd of its own in the scratch folder, without network; the image is a busybox imported from a tar."""

    def __init__(self, context, stack):
        _need("dockerd", "docker", "containerd", "busybox")
        if os.geteuid() != 0:
            raise Unavailable("dockerd needs root")
        self.context = context
        self.folder = os.path.join(context.folder, "docker")
        self.socket = f"unix://{self.folder}/docker.sock"
        os.makedirs(self.folder)
        stack.callback(self._clean)
        log = stack.enter_context(open(os.path.join(self.folder, "log"), "wb"))
        self.process = subprocess.Popen(
            ["dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid",
             "--host", self.socket, "--iptables=false", "--bridge=none"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}, cwd=self.folder)
        until(self._serves, "dockerd", 30)
        self._import()

    def _docker(self, *arguments, **options):
        return subprocess.run(["docker", "-H", self.socket, *arguments], capture_output=True, check=False, **options)

    def _serves(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                raise Unavailable(f"dockerd does not start here: {file.read()[-200:].strip()}")
        return self._docker("info").returncode == 0

    def _import(self):
        root = os.path.join(self.folder, "root", "bin")
        os.makedirs(root)
        shutil.copy(shutil.which("busybox"), root)
        os.symlink("busybox", os.path.join(root, "true"))
        tar = subprocess.run(["tar", "-C", os.path.dirname(root), "-c", "."], capture_output=True, check=True).stdout
        done = self._docker("import", "-", "bench:1", input=tar)
        if done.returncode != 0:
            raise Unavailable(f"docker import: {done.stderr.decode()[-200:]}")

    def rate(self, count):
        """`docker run --rm`, as many at a time as everyone."""
        command = [shutil.which("docker"), "-H", self.socket, "run", "--rm", "--network", "none", "bench:1", "/bin/true"]
        return launch.spawn_loop(self.context, CALLS, count, command)["rate"]

    def _clean(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        processes.kill_all_of(self.folder)
        with open("/proc/self/mounts", encoding="utf-8") as file:
            points = [line.split()[1] for line in file if self.folder in line]
        for point in reversed(points):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def _lazy(make):
    """Starts a peer on first use; what made it unavailable is remembered."""
    state = {}

    def get():
        if "why" in state:
            raise Unavailable(state["why"])
        if "peer" not in state:
            try:
                state["peer"] = make()
            except (Unavailable, AssertionError, OSError) as why:
                state["why"] = str(why)
                raise Unavailable(str(why)) from None
        return state["peer"]

    return get


def _row(name, what, goal=(), isolation="none"):
    return Row(f"peer-{name}", f"`true` end to end, {CALLS} in flight, beside {what}", "tasks/s", "tasks/s", isolation, name, what, goal=goal)


class Peers(Experiment):
    """One side each; absent ones say why."""

    name = "peers"
    rows = (
        _row("parallel", f"GNU parallel -j{CALLS}"),
        _row("task-spooler", "task-spooler"),
        _row("python-threads", "Python ThreadPool + subprocess"),
        _row("slurm", f"Slurm array, one node, {_SLURM_SLOTS} slots", (Ratio(20, "Slurm"),)),
        _row("docker", "`docker run`", (Ratio(250, "docker run"),)),
    )

    def open(self, context, stack):
        self.daemon = stack.enter_context(BenchDaemon(context.folder)).start()
        self.docker = _lazy(lambda: Docker(context, stack))
        self.slurm = _lazy(lambda: _slurm(context, stack))

    def sides(self, context):
        size = context.size
        return [
            ("boxkeeper", lambda: {"tasks/s": launch.tasks(context, self.daemon, CALLS, size(2000, 600), ["/bin/true"])["rate"]}),
            ("parallel", lambda: {"parallel": parallel(context, size(1000, 300))}),
            ("task-spooler", lambda: {"task-spooler": task_spooler(context, size(600, 200))}),
            ("python-threads", lambda: {"python-threads": thread_pool(context, size(2000, 600))}),
            ("slurm", lambda: {"slurm": self.slurm().rate(size(300, 100))}),
            ("docker", lambda: {"docker": self.docker().rate(size(40, 12))}),
        ]


def _slurm(context, stack):
    _need("slurmctld", "slurmd", "munged", "sbatch")
    if os.geteuid() != 0:
        raise Unavailable("slurmd needs root")
    return Slurm(os.path.join(context.folder, "slurm"), socket.gethostname(), _SLURM_SLOTS, stack)


EXPERIMENTS = [Peers()]
