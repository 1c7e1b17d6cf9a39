"""The daemon as a service: hand-over, drain, leases, adoption, limits, and a life after kill -9."""

import os
import signal

import grpc

from tests.harness import processes
from tests.harness.client import Subscriber, end, forever, spec, state_name
from tests.harness.daemon import Daemon
from tests.harness.gate import Gate
from tests.harness.stubs import admin_pb2, executor_pb2, task_pb2
from tests.harness.waiting import until


def test_sigterm_hands_over_and_the_next_start_adopts():
    with Daemon({"scheduling": {"max_running": 2}}) as daemon:
        client = daemon.start().client
        gate = Gate(daemon.folder)
        running = [client.submit(spec(shell=f"echo before; {gate.wait}; echo after; exit 5")) for _ in range(2)]
        for task_id in running:
            client.wait_running(task_id)
        queued = client.submit(spec(argv=["true"]))
        assert daemon.terminate() == 0
        assert len([p for p in processes.of_folder(daemon.state_dir) if processes.arguments(p)[0].endswith("sh")]) >= 2
        gate.open(2)
        daemon.start()
        for task in client.wait_all(running):
            assert end(task) == ("FAILED", "EXIT_CODE", 5, None)
            assert client.log(task.id) == b"before\nafter\n"
        assert end(client.wait(queued))[0] == "SUCCEEDED"


def test_a_killed_daemons_task_goes_on_and_its_end_is_told_once(daemon):
    client, gate = daemon.client, Gate(daemon.folder)
    watcher = Subscriber(client, "test:kill")
    task_id = client.submit(spec(shell=f"echo $$; {gate.wait}; exit 4", owner="test:kill"))
    before = client.wait_running(task_id)
    daemon.kill()
    gate.open()
    daemon.start()
    task = client.wait(task_id)
    assert end(task) == ("FAILED", "EXIT_CODE", 4, None)
    assert (task.sandbox.id, task.attempt, task.started_at) == (before.sandbox.id, before.attempt, before.started_at)
    until(lambda: any(e.type == task_pb2.EVENT_TYPE_LOG_COMPLETE for e in watcher.events), "LOG_COMPLETE")
    watcher.stop()
    by_cursor = {e.cursor: e for e in watcher.events}
    ends = [e for e in by_cursor.values() if e.type == task_pb2.EVENT_TYPE_STATE and state_name(e.task.state) == "FAILED"]
    assert len(ends) == 1


def test_a_stopped_daemon_loses_nothing(daemon):
    client = daemon.client
    tasks = [client.submit(spec(shell=f"exit {n}")) for n in range(5)]
    forever_id = client.submit(spec(argv=forever()))
    client.wait_running(forever_id)
    daemon.kill(signal.SIGSTOP)
    until(lambda: processes.state(daemon.process.pid) == "T", "stopped")
    daemon.kill(signal.SIGCONT)
    assert [end(t)[2] for t in client.wait_all(tasks)] == list(range(5))
    assert state_name(client.get(forever_id).state) == "RUNNING"


def test_drain_lasts_over_a_restart_and_running_tasks_end(daemon):
    client, gate = daemon.client, Gate(daemon.folder)
    running = client.submit(spec(shell=f"{gate.wait}"))
    client.wait_running(running)
    drained = client.call(client.admin.Drain, admin_pb2.DrainRequest())
    assert drained.still_running == 1
    waiting = client.submit(spec(argv=["true"]))
    daemon.restart()
    assert client.call(client.admin.GetStatus, admin_pb2.GetStatusRequest()).draining
    gate.open()
    assert end(client.wait(running))[0] == "SUCCEEDED"
    task = client.get(waiting)
    assert state_name(task.state) == "QUEUED" and "drain" in task.waiting_for
    client.call(client.admin.Drain, admin_pb2.DrainRequest(off=True))
    assert end(client.wait(waiting))[0] == "SUCCEEDED"


def _leased(on_lapse, **fields):
    item = spec(argv=forever(), **fields)
    item.lease.ttl.FromMilliseconds(1500)
    item.lease.on_lapse = on_lapse
    return item


def test_a_lapsed_lease_cancels_only_where_asked(daemon):
    client = daemon.client
    lapses = client.submit(_leased(task_pb2.Lease.CANCEL))
    keeps = client.submit(_leased(task_pb2.Lease.KEEP))
    client.wait_running(keeps)
    task = client.wait(lapses, seconds=20)
    assert end(task)[:2] == ("CANCELLED", "CLIENT_LOST")
    assert state_name(client.get(keeps).state) == "RUNNING"


def test_an_open_stream_or_a_renewal_keeps_the_lease(daemon):
    client = daemon.client
    stream = Subscriber(client, "test:lease")
    watched = client.submit(_leased(task_pb2.Lease.CANCEL, owner="test:lease"))
    renewed = client.submit(_leased(task_pb2.Lease.CANCEL))
    alone = client.submit(_leased(task_pb2.Lease.CANCEL))

    def renew():
        client.call(client.executor.RenewLease, executor_pb2.RenewLeaseRequest(ids=[renewed]))
        return state_name(client.get(alone).state) == "CANCELLED"

    until(renew, "the lease that nobody renews lapses")
    assert state_name(client.get(watched).state) == "RUNNING" and state_name(client.get(renewed).state) == "RUNNING"
    stream.stop()
    assert end(client.wait(watched, seconds=20))[:2] == ("CANCELLED", "CLIENT_LOST")
    answer = client.call(client.executor.RenewLease, executor_pb2.RenewLeaseRequest(ids=[watched, "nonesuch"]))
    assert set(answer.not_found) == {watched, "nonesuch"}


def test_adoption_moves_a_task_to_a_new_owner(daemon):
    client = daemon.client
    done = client.run(spec(argv=["true"], owner="old"))
    live = client.submit(spec(argv=forever(), owner="old"))
    client.wait_running(live)
    refs = [executor_pb2.TaskRef(id=i) for i in (live, done.id, "a" * 26)]
    answer = client.call(client.executor.AdoptTasks, executor_pb2.AdoptTasksRequest(new_owner="new", tasks=refs))
    outcomes = [executor_pb2.AdoptResult.Outcome.Name(r.outcome) for r in answer.results]
    assert outcomes == ["LIVE", "TERMINAL", "UNKNOWN"]
    daemon.restart()
    changed = {e.task.id for e in client.events("new") if e.type == task_pb2.EVENT_TYPE_OWNER_CHANGED}
    lost = {e.task.id for e in client.events("old") if e.type == task_pb2.EVENT_TYPE_OWNER_LOST}
    assert live in changed and live in lost
    client.cancel(live, force=True)
    client.wait(live)
    assert [e for e in client.events("new") if e.task.id == live and state_name(e.task.state) == "CANCELLED"]


def test_a_full_queue_refuses_and_says_when_to_try_again():
    with Daemon({"scheduling": {"max_running": 1, "max_queued": 5}}) as daemon:
        client = daemon.start().client
        blocker = client.submit(spec(argv=forever()))
        client.wait_running(blocker)
        results = client.submit_all([spec(argv=["true"]) for _ in range(8)])
        names = [executor_pb2.SubmitResult.Outcome.Name(r.outcome) for r in results]
        assert names == ["ACCEPTED"] * 5 + ["QUEUE_FULL"] * 3
        assert results[-1].retry_after.ToMilliseconds() > 0 and not results[-1].id
        capacity = client.call(client.executor.GetCapacity, executor_pb2.GetCapacityRequest())
        assert (capacity.running, capacity.max_running, capacity.queued, capacity.max_queued) == (1, 1, 5, 5)
        client.cancel(blocker, force=True)
        client.wait_all([r.id for r in results[:5]])


def test_priority_goes_first_then_the_order_of_submission():
    with Daemon({"scheduling": {"max_running": 1}}) as daemon:
        client = daemon.start().client
        blocker = client.submit(spec(argv=forever()))
        client.wait_running(blocker)
        order = os.path.join(daemon.folder, "order")
        ids = [client.submit(spec(shell=f"echo {name} >> {order}", override={"priority": priority}))
               for name, priority in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)]]
        client.cancel(blocker, force=True)
        client.wait_all(ids)
        with open(order, encoding="utf-8") as lines:
            assert lines.read().split() == ["b", "d", "a", "e", "c"]


def test_results_are_compacted_after_retention_and_their_repeat_is_still_known():
    with Daemon({"scheduling": {"retention": "1s", "unacked_retention": "1s", "dedupe_retention": "1h"}}) as daemon:
        client = daemon.start().client
        item = spec(argv=["true"])
        task = client.run(item)

        def forgotten():
            try:
                client.get(task.id)
            except grpc.RpcError as error:
                return error.code() == grpc.StatusCode.NOT_FOUND
            return False

        until(forgotten, "compacted")
        result = client.submit_all([item])[0]
        assert (result.outcome, result.id) == (executor_pb2.SubmitResult.DUPLICATE, task.id)
        daemon.restart()
        assert client.submit_all([item])[0].outcome == executor_pb2.SubmitResult.DUPLICATE
        newer = client.run(spec(argv=["true"]))
        assert newer.generation > task.generation


def test_sandboxes_are_gone_after_their_tasks(daemon):
    client = daemon.client
    client.wait_all([client.submit(spec(argv=["true"])) for _ in range(20)])
    until(lambda: daemon.metric("boxkeeper_live_sandboxes") == 0, "no live sandbox")
    until(lambda: not client.call(client.admin.ListSandboxes, admin_pb2.ListSandboxesRequest()).sandboxes, "none at the provider")


def test_the_launcher_killed_alone_does_not_disturb_a_task(daemon):
    client, gate = daemon.client, Gate(daemon.folder)
    task_id = client.submit(spec(shell=f"{gate.wait}; exit 6"))
    client.wait_running(task_id)
    os.kill(daemon.launcher_pid(), signal.SIGKILL)
    assert end(client.run(spec(argv=["true"])))[0] == "SUCCEEDED"  # a new launcher serves
    gate.open()
    assert end(client.wait(task_id)) == ("FAILED", "EXIT_CODE", 6, None)
