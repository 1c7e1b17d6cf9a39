"""The world with FakeCloud as its only provider: what was created, executed and destroyed stands in the cloud's audit log."""

from tests.faults.world import World
from tests.harness.client import spec
from tests.harness.fakecloud import FakeCloud
from tests.harness.waiting import until

_SCHEDULING = {"create_timeout": "3s", "start_timeout": "2s", "max_attempts": 20}


class CloudWorld(World):
    """Use as World; tasks say in FakeCloud's words what they do."""

    def __init__(self, config=None, failpoint=None, launcher_failpoint=None, script="", one_step=False):
        config = config or {}
        super().__init__({**config, "scheduling": {**_SCHEDULING, **config.get("scheduling", {})}}, failpoint, launcher_failpoint)
        self.cloud = FakeCloud(self.daemon.folder, script, ["--one_step"] if one_step else [])
        # After a create whose answer was lost its sandbox shows at once here.
        section = self.cloud.provider(call_timeout="2s", create_settle="500ms", one_step=one_step)
        self._overlay = {**self._overlay, "providers": {"local": None, "cloud": section}, "default_provider": "cloud"}
        self.daemon.configure(self._overlay)

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self.cloud.close()

    def submit_sim(self, name, words, ends, runs=(1,), output=None, **fields):
        item = spec(argv=["sim", *words.split()], name=name, **{"owner": self.owner, **fields})
        return self._submit(name, item, ends, output, runs, False)

    def ran(self, name):
        ids = {task.name: task.id for task in self.tasks}
        return self.cloud.executions().get(ids[name], 0)

    def judge(self):
        super().judge()
        until(lambda: not self.cloud.living(), "every sandbox was destroyed")
        self.judge_audit()

    def judge_audit(self):
        """I3: nothing ran twice, and nothing ran in a sandbox that is no task's."""
        started = [(entry["name"], entry["exec_id"]) for entry in self.cloud.audit() if entry["kind"] == "execute"]
        assert len({exec_id for _, exec_id in started}) == len(started), started
