"""The command and the environment that a sandbox is given, with this Airflow's own workload runner in it."""

import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from executor_stand import address, make_workload
from tests.harness.client import end
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until


class _Api(BaseHTTPRequestHandler):
    """An execution API that says of every task that it runs already: so the runner ends at once."""

    def do_PATCH(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        body = json.dumps({"detail": {"reason": "invalid_state", "message": "it runs", "previous_state": "running"}}).encode()
        self.send_response(409)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def make_callback(path):
    return workloads.ExecuteCallback.model_validate({
        "token": "", "dag_rel_path": "dag.py", "bundle_info": {"name": "dags-folder"}, "log_path": f"executor_callbacks/dag/run/{path}",
        "callback": {"id": str(uuid.uuid4()), "fetch_method": "import_path", "data": {"path": path, "kwargs": {}}}})


@pytest.fixture
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.everyday
def test_airflows_runner_reads_the_workload_and_asks_the_api_with_its_token(stand, daemon, api):
    executor = stand.executor(address(daemon), python=sys.executable, env="{}", airflow_home=stand.folder,
                              execution_api_server_url=f"http://127.0.0.1:{api.server_address[1]}/execution/")
    item = make_workload("refused")
    stand.queue(executor, item)
    state, info = stand.end_of(executor, item, 90)
    assert state == "failed" and "exit code 1" in info
    assert set(api.asked) == {(f"/execution/task-instances/{item.ti.id}/run", f"Bearer {item.token}")}
    (task,) = daemon.client.list()
    assert end(task)[:3] == ("FAILED", "EXIT_CODE", 1)
    daemon.client.wait(task.id, executor_pb2.WaitTaskRequest.LOG_COMPLETE)
    text = until(lambda: daemon.client.log(task.id), "its output").decode()
    assert "Executing workload" in text and item.token not in text


@pytest.mark.skipif(not hasattr(workloads, "ExecuteCallback") or hasattr(BaseExecutor, "run_workload"),
                    reason="no callbacks for executors, or Airflow's own runner takes them: then tests/airflow tries it")
def test_a_callback_is_called_as_local_executor_would(stand, daemon):
    executor = stand.executor(address(daemon), python=sys.executable, env="{}", airflow_home=stand.folder)
    good, bad = make_callback("os.getcwd"), make_callback("no_such_module.function")
    stand.queue(executor, good, bad)
    stand.beat_until(executor, lambda: len(stand.ends()) == 2, "two ends", 90)
    ends = {key: (state, info) for key, state, info in stand.ends()}
    assert ends[good.callback.id] == ("success", None)
    state, info = ends[bad.callback.id]
    assert state == "failed" and "exit code 1" in info
