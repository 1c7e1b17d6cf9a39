"""Submitting: idempotency, keys, successors, and refusing what is wrong, item by item."""

import concurrent.futures
import os

import grpc
import pytest

from tests.harness.client import end, forever, spec, state_name
from tests.harness.gate import Gate
from tests.harness.stubs import executor_pb2, task_pb2
from tests.harness.waiting import until

Outcome = executor_pb2.SubmitResult


def test_the_same_submission_64_times_at_once_is_one_task(shared):
    file = os.path.join(shared.folder, "once")
    item = spec(shell=f"echo ran >> {file}")
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        results = list(pool.map(lambda _: shared.client.submit_all([item])[0], range(64)))
    outcomes = [r.outcome for r in results]
    assert outcomes.count(Outcome.ACCEPTED) == 1 and outcomes.count(Outcome.DUPLICATE) == 63
    assert len({r.id for r in results}) == 1
    shared.client.wait(results[0].id)
    with open(file, encoding="utf-8") as lines:
        assert lines.read() == "ran\n"
    assert shared.client.submit_all([item])[0].outcome == Outcome.DUPLICATE  # also after its end


def test_the_same_id_with_other_content_is_an_error(shared):
    item = spec(argv=["true"])
    shared.client.run(item)
    item.command.argv.args.append("more")
    result = shared.client.submit_all([item])[0]
    assert result.outcome == Outcome.REJECTED
    assert [v.field for v in result.violations] == ["submission_id"]


def test_owner_and_lease_are_not_content(shared):
    item = spec(argv=["true"])
    task_id = shared.client.submit(item)
    item.owner = "somebody:else"
    item.lease.ttl.seconds = 60
    item.trace_context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    result = shared.client.submit_all([item])[0]
    assert (result.outcome, result.id) == (Outcome.DUPLICATE, task_id)


def test_a_live_key_is_refused_and_free_again_after_the_end(shared):
    first = shared.client.submit(spec(argv=forever(), name="live", owner="a"))
    result = shared.client.submit_all([spec(argv=["true"], name="live", owner="b")])[0]
    assert result.outcome == Outcome.ALREADY_LIVE
    assert (result.id, result.owner) == (first, "a") and result.generation > 0
    shared.client.cancel(first, force=True)
    shared.client.wait(first)
    assert end(shared.client.run(spec(argv=["true"], name="live")))[0] == "SUCCEEDED"


def test_after_waits_for_the_live_one(shared):
    file, gate = os.path.join(shared.folder, "after"), Gate(shared.folder)
    first = shared.client.submit(spec(shell=f"{gate.wait}; echo first >> {file}", name="after"))
    shared.client.wait_running(first)
    second = shared.client.submit(spec(shell=f"echo second >> {file}", name="after", on_live_key=task_pb2.ON_LIVE_KEY_AFTER))
    waiting = shared.client.get(second)
    assert state_name(waiting.state) == "QUEUED" and first in waiting.waiting_for
    assert shared.client.get(first).successor_id == second
    gate.open()
    assert end(shared.client.wait(second))[0] == "SUCCEEDED"
    with open(file, encoding="utf-8") as lines:
        assert lines.read() == "first\nsecond\n"


def test_replace_stops_the_live_one_and_a_second_successor_replaces_the_first(shared):
    first = shared.client.submit(spec(argv=forever(), name="replace"))
    shared.client.wait_running(first)
    second = shared.client.submit(spec(argv=["true"], name="replace", on_live_key=task_pb2.ON_LIVE_KEY_AFTER))
    third = shared.client.submit(spec(argv=["true"], name="replace", on_live_key=task_pb2.ON_LIVE_KEY_REPLACE))
    ends = {t.id: t for t in shared.client.wait_all([first, second, third])}
    assert end(ends[first])[:2] == ("CANCELLED", "CANCELLED")
    assert end(ends[second])[:2] == ("CANCELLED", "CANCELLED") and f"replaced by {third}" in ends[second].message
    assert end(ends[third])[0] == "SUCCEEDED"
    assert ends[third].started_at.ToNanoseconds() >= ends[first].ended_at.ToNanoseconds()
    assert ends[first].generation < ends[second].generation < ends[third].generation


def _bad(**fields):
    return spec(**{"argv": ["true"], **fields})


def _without_command():
    item = spec()
    item.command.argv.SetInParent()
    return item


def _many_mistakes():
    item = _bad(override={"no_such_key": 1, "timeout": "-3s", "cpu": 2, "image": "alpine"})
    item.command.argv.args.append("a\0b")
    item.submission_id = "not a uuid"
    item.key.name = ""
    return item


@pytest.mark.parametrize(("item", "fields"), [
    (_bad(override={"no_such_key": 1}), {"sandbox_override.no_such_key"}),
    (_bad(override={"timeout": "-3s"}), {"sandbox_override.timeout"}),
    (_bad(override={"env": {"A": "x\0y"}}), {"sandbox_override.env"}),
    (_without_command(), {"command.argv"}),
    (_bad(argv=["echo", "a\0b"]), {"command.argv"}),
    (_bad(argv=["echo", "x" * (1 << 20)]), {"task"}),
    (_bad(override={"image": "alpine", "disk_mb": 64, "gpu": "1", "network": "none", "read_only_root": True,
                    "volumes": ["/data:/mnt"]}),
     {f"sandbox_override.{k}" for k in ("image", "disk_mb", "gpu", "network", "read_only_root", "volumes")}),
    (_many_mistakes(), {"submission_id", "key.name", "command.argv", "sandbox_override.no_such_key", "sandbox_override.timeout"}),
])
def test_a_bad_item_names_every_field_and_the_others_go_through(shared, item, fields):
    client = shared.client
    before = len(client.list())
    good = [spec(argv=["true"]), spec(argv=["true"])]
    results = client.submit_all([good[0], item, good[1]])
    assert [r.outcome for r in results] == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
    named = [v.field for v in results[1].violations]
    for field in fields:
        assert any(n == field or n.startswith((field + "[", field + ".")) for n in named), (field, named)
    assert all(v.description for v in results[1].violations)
    assert results[1].id == ""
    assert len(client.list()) == before + 2


def test_a_call_with_too_many_items_stores_nothing(shared):
    before = len(shared.client.list())
    with pytest.raises(grpc.RpcError) as failure:
        shared.client.submit_all([spec(argv=["true"]) for _ in range(1001)])
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(shared.client.list()) == before


def test_validate_only_shows_the_merged_spec_and_stores_nothing(shared):
    before = len(shared.client.list())
    result = shared.client.submit_all([spec(argv=["true"], override={"timeout": "90s"})], validate_only=True)[0]
    assert result.outcome == Outcome.ACCEPTED and result.id == ""
    assert result.spec.timeout.seconds == 90 and list(result.spec.provider) == ["local"]
    assert len(shared.client.list()) == before


def test_filters_find_by_label_owner_state_and_key(shared):
    label = {"suite": "filters"}
    done = shared.client.run(spec(argv=["true"], owner="f:1", labels=label, name="filter-a"))
    live = shared.client.submit(spec(argv=forever(), owner="f:2", labels=label, name="filter-b"))
    shared.client.wait_running(live)
    assert {t.id for t in shared.client.list(labels=label)} == {done.id, live}
    assert {t.id for t in shared.client.list(owner="f:1")} == {done.id}
    assert {t.id for t in shared.client.list(labels=label, states=[task_pb2.TASK_STATE_SUCCEEDED])} == {done.id}
    assert {t.id for t in shared.client.list(key_prefix="default/COMMAND///filter-")} == {done.id, live}
    request = executor_pb2.CancelTasksRequest(filter=executor_pb2.TaskFilter(labels=label), force=True)
    results = {r.id: r.outcome for r in shared.client.call(shared.client.executor.CancelTasks, request).results}
    assert results[live] == executor_pb2.CancelResult.STOPPING
    until(lambda: state_name(shared.client.get(live).state) == "CANCELLED", "cancelled by filter")
