"""Run by test_versions.py with another protobuf and gRPC: usage: program.py ADDRESS. Fails by an exception."""

import asyncio
import sys

# As OpenTelemetry does in Airflow: the same definitions from elsewhere must not clash with ours.
from google.api import annotations_pb2
from google.rpc import error_details_pb2, status_pb2

from boxkeeper.client import AsyncClient, Client, ConnectionSettings, NotFound, Rejected, keys, names, specs
from boxkeeper.v1 import admin_pb2, executor_pb2, task_pb2


def check_messages():
    """Every message of the API can be made and read again."""
    for module in (admin_pb2, executor_pb2, task_pb2, error_details_pb2, status_pb2, annotations_pb2):
        for name in module.DESCRIPTOR.message_types_by_name:
            kind = getattr(module, name)
            assert kind.FromString(kind().SerializeToString()) == kind(), name


def make_spec(name):
    return specs.make_spec(keys.make_key(name, index=3, try_number=2), shell="echo $KEY; cat in", owner=name, override={"cpu": 1, "env": {"A": "1"}},
                           files=[specs.make_file("in", b"\xff\x00\n")], secrets={"KEY": "hunter22"})


def check_sync(settings):
    with Client(settings) as client:
        accepted = client.submit(make_spec("sync"))
        [task] = client.wait([accepted.id], until="LOG_COMPLETE", timeout=60)
        assert names.succeeded(task), names.describe_end(task)
        assert b"".join(chunk.data for chunk in client.read_log(task.id)) == b"********\n\xff\x00\n"  # redacted
        assert client.get_task(key=make_spec("sync").key).id == task.id
        assert [names.event_name(e.type) for e in client.watch_events("sync", follow=False)][-1] == "LOG_COMPLETE"
        try:
            client.get_task("nothing")
            raise AssertionError("no error")
        except NotFound as error:
            assert error.reason == "TASK_NOT_FOUND"


async def check_asyncio(settings):
    async with AsyncClient(settings) as client:
        accepted = await client.submit(make_spec("asyncio"))
        data = [chunk.data async for chunk in client.read_log(accepted.id, follow=True)]
        assert b"".join(data) == b"********\n\xff\x00\n", data
        await client.wait([accepted.id], timeout=60)
        assert not (await client.put_blob(b"x" * 3_000_000)).existed
        try:
            await client.submit(specs.make_spec(keys.make_key(""), argv=["true"]))
            raise AssertionError("no error")
        except Rejected as error:
            assert error.violations[0].field == "key.name"


check_messages()
check_sync(ConnectionSettings(sys.argv[1], timeout=30))
asyncio.run(check_asyncio(ConnectionSettings(sys.argv[1], timeout=30)))
