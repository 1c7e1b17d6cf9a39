"""Log bytes through the daemon to an S3 server, beside a plain upload of the same bytes to the same server."""

import os
import time

from bench.driver import logs, processes, programs
from bench.driver.bounds import AtMost, Ratio
from bench.driver.daemon import BenchDaemon
from bench.driver.experiment import Experiment, Unavailable
from bench.driver.rows import Row
from tests.harness import s3_servers, servers
from tests.harness.client import spec
from tests.harness.stubs import executor_pb2

_MB = 1_000_000


class LogsS3(Experiment):
    """One task writes as fast as it can; what is stored is compared byte by byte."""

    name = "logs-s3"
    rows = (
        Row("logs-s3", "log bytes through the daemon to S3, one task (submit → stored)", "MB/s", "MB/s", "none", "plain upload",
            "write to a file, sha256sum, curl --aws-sigv4", floor=(Ratio(0.5, "plain upload"),), goal=(Ratio(0.8, "plain upload"),)),
        Row("logs-s3-memory", "… growth of the daemon's memory over its start", "growth", "MiB", "none", floor=(AtMost(128, "MiB"),)),
        Row("logs-s3-cpu", "… the daemon's processor time", "ms/MB", "ms/MB", "none"),
    )

    def open(self, context, stack):
        try:
            self.server = stack.enter_context(s3_servers.VersityGw())
        except servers.Unavailable as why:
            raise Unavailable(str(why)) from why
        config = {"logs": {"url": f"s3://{self.server.bucket}/a", "s3": {"endpoint": self.server.endpoint, "path_style": True}}}
        self.daemon = stack.enter_context(BenchDaemon(context.folder, extra_config=config))
        self.daemon.environment.update(self.server.environment())
        self.daemon.start()
        self.size = context.size(2_000, 500, 100) * _MB // context.rounds

    def _verify(self, task):
        """The pieces in order are what the command writes again."""
        if not task.log.complete or task.log.dropped_bytes or task.log.stdout_bytes != self.size:
            raise programs.Failed(f"the log is not complete: {task.log}")
        path = os.path.join(self.server.data, self.server.bucket, "a", task.log.path)
        programs.run(["/bin/bash", "-o", "pipefail", "-c", f"cat '{path}'/stdout.* | cmp - <({logs.command(self.size)})"])

    def _ours(self):
        pid = self.daemon.process.pid
        with processes.PeakMemory(pid) as memory:
            began, used = time.monotonic(), processes.cpu_seconds(pid)
            task = self.daemon.client.submit(spec(shell=logs.command(self.size), owner="bench:logs"))
            done = self.daemon.client.wait(task, executor_pb2.WaitTaskRequest.LOG_COMPLETE, 600)
            seconds = time.monotonic() - began
            used = processes.cpu_seconds(pid) - used
        self._verify(done)
        return {"MB/s": self.size / _MB / seconds, "growth": (memory.peak_bytes - memory.start_bytes) / 2**20, "ms/MB": used * 1e3 / (self.size / _MB)}

    def _upload(self, context):
        path = os.path.join(context.folder, "uploaded")
        url = f"{self.server.endpoint}/{self.server.bucket}/plain"
        key = f"{self.server.access_key}:{self.server.secret_key}"
        began = time.monotonic()
        programs.run(["/bin/sh", "-ec", f"{logs.command(self.size)} > '{path}'; sum=$(sha256sum '{path}' | cut -d' ' -f1); "
                      f"curl -sSf -o /dev/null --aws-sigv4 aws:amz:{self.server.region}:s3 -u '{key}' -H \"x-amz-content-sha256: $sum\" -T '{path}' {url}"])
        seconds = time.monotonic() - began
        os.unlink(path)
        return {"plain upload": self.size / _MB / seconds}

    def sides(self, context):
        return [("boxkeeper", self._ours), ("plain upload", lambda: self._upload(context))]


EXPERIMENTS = [LogsS3()]
