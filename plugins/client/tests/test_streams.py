"""Streams go on where they broke, give nothing twice, and can be closed from outside."""

import asyncio
import threading

import grpc
import pytest
from fake_server import Refusal

from boxkeeper.client import AsyncClient, Client, ConnectionSettings, errors
from boxkeeper.v1 import executor_pb2

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "NOT_SERVING", "the daemon stops")


def _events(*cursors):
    return executor_pb2.WatchEventsResponse(events=[{"cursor": c, "type": "EVENT_TYPE_STATE"} for c in cursors])


def _after(answers):
    """An answer of WatchEvents by the cursor that is asked for."""
    return lambda request: answers[request.cursor]


def test_events_resume_after_the_last_one_given(client, fake):
    fake.answers["WatchEvents"] = _after({"": [_events("1", "2"), _events(), _events("3"), AWAY], "3": [AWAY], "4": [AWAY]})
    events = client.watch_events("me")
    assert [next(events).cursor for _ in range(3)] == ["1", "2", "3"]
    fake.answers["WatchEvents"] = _after({"": [AWAY], "3": [_events("4")], "4": [_events("5")]})
    assert [next(events).cursor, next(events).cursor] == ["4", "5"]  # also when the daemon ends a followed stream in peace
    assert events.cursor == "5"
    assert fake.requests["WatchEvents"][0].follow and fake.requests["WatchEvents"][0].owner == "me"
    events.close()


def test_events_without_follow_end(client, fake):
    fake.answers["WatchEvents"] = _after({"c": [_events("d"), _events("e")]})
    assert [event.cursor for event in client.watch_events("me", "c", follow=False)] == ["d", "e"]


def test_a_cursor_that_is_gone_is_the_callers_affair(client, fake):
    def gone(_):
        raise Refusal(grpc.StatusCode.OUT_OF_RANGE, "CURSOR_GONE", "compacted")

    fake.answers["WatchEvents"] = gone
    with pytest.raises(errors.CursorGone):
        next(client.watch_events("me", "old"))
    assert fake.count("WatchEvents") == 1


def test_a_stream_gives_up_after_reconnect_timeout(fake, connect):
    client = connect(ConnectionSettings(fake.address, reconnect_timeout=0.3))
    fake.stop()
    with pytest.raises(errors.Unavailable):
        next(client.watch_events("me"))
    with pytest.raises(errors.Unavailable):
        next(client.watch_events("me", reconnect_timeout=0.1))


def test_a_stream_with_a_timeout_ends_then(client, fake):
    def wait(_):
        fake.released.wait(20)
        return []

    fake.answers["ReadLog"] = wait
    with pytest.raises(errors.DeadlineExceeded):
        next(client.read_log("t", timeout=0.2))


def test_close_ends_the_iteration_from_another_thread(fake):
    def forever(_):
        yield _events("1")
        fake.released.wait(20)

    fake.answers["WatchEvents"] = forever
    with Client(ConnectionSettings(fake.address)) as client:
        stream = client.watch_events("me")
        assert next(stream).cursor == "1"
        closer = threading.Timer(0.05, stream.close)
        closer.start()
        assert list(stream) == []
        assert list(stream) == []
        closer.join()
    fake.released.set()


def test_closing_an_async_stream_ends_the_iteration(fake):
    def forever(_):
        yield _events("1")
        fake.released.wait(20)

    async def go():
        async with AsyncClient(ConnectionSettings(fake.address)) as client:
            seen = []
            async with client.watch_events("me") as stream:
                async def read():
                    seen.extend([event.cursor async for event in stream])

                reader = asyncio.ensure_future(read())
                while not stream.cursor:
                    await asyncio.sleep(0.01)
                stream.close()
                await asyncio.wait_for(reader, 5)
                reader = asyncio.ensure_future(read_once(client))
                while fake.count("WatchEvents") < 2:
                    await asyncio.sleep(0.01)
                reader.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reader
            return seen

    async def read_once(client):
        async for _ in client.watch_events("me", "1"):
            await asyncio.sleep(20)

    fake.answers["WatchEvents"] = forever
    assert asyncio.run(go()) == ["1"]
    fake.released.set()


def test_a_call_whose_client_is_closed_fails(fake):
    arrived = threading.Event()

    def wait(_):
        arrived.set()
        fake.released.wait(20)
        return executor_pb2.GetCapacityResponse()

    async def go():
        client = AsyncClient(ConnectionSettings(fake.address))
        call = asyncio.ensure_future(client.get_capacity())
        await asyncio.get_running_loop().run_in_executor(None, arrived.wait, 10)
        await client.close()
        await call

    fake.answers["GetCapacity"] = wait
    with pytest.raises(errors.RpcFailed) as caught:
        asyncio.run(go())
    assert caught.value.code == "CANCELLED"
    arrived.clear()
    with Client(ConnectionSettings(fake.address)) as client:
        closer = threading.Thread(target=lambda: arrived.wait(10) and client.close())
        closer.start()
        with pytest.raises(errors.RpcFailed) as caught:
            client.get_capacity()
        closer.join()
    assert caught.value.code == "CANCELLED"
    fake.released.set()


def _log(offset, data, **fields):
    return executor_pb2.ReadLogResponse(offset=offset, data=data, **fields)


def test_a_log_goes_on_at_the_next_byte_also_behind_dropped_ones(client, fake):
    answers = {0: [_log(0, b"one"), _log(3, b"", dropped_bytes=100), AWAY], 103: [_log(103, b"two"), AWAY], 106: [_log(106, b"", end=True)]}
    fake.answers["ReadLog"] = lambda request: answers[request.offset]
    chunks = list(client.read_log("t", "STDERR"))
    assert b"".join(chunk.data for chunk in chunks) == b"onetwo" and chunks[-1].end
    assert [request.offset for request in fake.requests["ReadLog"]] == [0, 103, 106]
    assert {request.stream for request in fake.requests["ReadLog"]} == {executor_pb2.ReadLogRequest.STDERR}


def test_a_tail_that_breaks_goes_on_by_offset(client, fake):
    fake.answers["ReadLog"] = lambda request: ([_log(50, b"x"), AWAY] if request.WhichOneof("from") == "tail_lines" else
                                               [_log(51, b"y", end=True)])
    assert b"".join(chunk.data for chunk in client.read_log("t", tail_lines=1)) == b"xy"
    assert [(r.tail_lines, r.offset) for r in fake.requests["ReadLog"]] == [(1, 0), (0, 51)]


def test_an_artifact_goes_on_at_the_next_byte(client, fake):
    answers = {0: [executor_pb2.ReadArtifactResponse(artifact={"path": "a"}, data=b"12"), AWAY],
               2: [executor_pb2.ReadArtifactResponse(offset=2, data=b"34", end=True)]}
    fake.answers["ReadArtifact"] = lambda request: answers[request.offset]
    assert list(client.read_artifact("a", id="t")) == [b"12", b"34"]
