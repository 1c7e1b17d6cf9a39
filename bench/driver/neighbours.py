"""What a task that eats what it can costs the others."""

from bench.driver import launch
from bench.driver.bounds import RatioAtMost
from bench.driver.rows import Row
from tests.harness import bombs

_IN_FLIGHT = 4


class BesideABomb(launch.Launching):
    """Isolated tasks beside a fork bomb, in turns with the same tasks alone."""

    def __init__(self):
        super().__init__("bubblewrap")
        self.name = "beside-fork-bomb"
        self.rows = (
            Row(self.name, f"submit → user process running, {_IN_FLIGHT} in flight, p99, beside a fork bomb", "beside", "ms",
                self.isolation, "alone", "the same, alone", (RatioAtMost(2, "alone"),)),
        )

    def sides(self, context):
        count = context.size(500, 200, 100)

        def latency():
            answer = launch.stamped(context, self.daemon, self.isolation, _IN_FLIGHT, count)
            return answer["submit_to_running"]["p99_ms"]

        def beside():
            client = self.daemon.client
            task, mark = bombs.make("fork", timeout="300s")
            bomb = client.submit(task)
            client.wait_running(bomb)
            measured = latency()
            client.cancel(bomb, force=True)
            client.wait(bomb)
            assert not bombs.living(mark)
            return {"beside": measured}

        return [("alone", lambda: {"alone": latency()}), ("beside", beside)]


EXPERIMENTS = [BesideABomb()]
