"""Each example is run, by dag.test() in the real Airflow, with a real daemon."""

import http.server
import json
import os
import threading

import pytest
from conftest import FULL
from dag_runs import EXAMPLES, VERSION, Home

from tests.harness import airflow_venv

KEY = "sk-test-a-key-of-the-model"


def example(name):
    return os.path.join(EXAMPLES, f"{name}.py"), name


# The pinned packages of 3.0.6 and 3.2.2 have a pydantic with which dag.test() of these versions fails before any task runs.
pytestmark = pytest.mark.skipif(VERSION != airflow_venv.VERSION, reason="dag.test() is tried with one version")
for_full = pytest.mark.skipif(not FULL, reason="each is a start of Airflow: for BOXKEEPER_FULL")


def test_hello(tmp_path, daemon):
    result = Home(tmp_path, daemon).run(*example("example_sandbox_hello"), {"greeting": "moin"})
    assert result.run == "success" and result.values == {"hello": "moin", "again": "moin again"}
    assert "hello from Linux" in result.output


@for_full
def test_deferrable(tmp_path, daemon):
    result = Home(tmp_path, daemon).run(*example("example_sandbox_deferrable"))
    assert result.run == "success" and result.values == {"long_one": "done"}
    assert [result.output.count(f" step {i} ") for i in (1, 2, 3)] == [1, 1, 1] and "Pausing task as DEFERRED" in result.output


@for_full
def test_outputs(tmp_path, daemon):
    result = Home(tmp_path, daemon).run(*example("example_sandbox_outputs"), {"text": "a b a be be be"})
    assert result.run == "success"
    assert result.values["count"] == {"words": 6, "different": 3}
    assert [entry["path"] for entry in result.xcoms["count"]["outputs"]] == ["dist/a.txt", "dist/b.txt", "dist/be.txt"]
    assert result.values["read"] == "3 different words of 6; be 3"


@for_full
def test_mapped(tmp_path, daemon):
    result = Home(tmp_path, daemon).run(*example("example_sandbox_mapped"))
    assert result.run == "success"
    assert [result.values[f"squares[{i}]"] for i in range(3)] == ["0", "1", "4"]
    assert [result.values[f"cube[{i}]"] for i in range(3)] == [{"n": 1, "cube": 1}, {"n": 2, "cube": 8}, {"n": 3, "cube": 27}]
    assert result.values["total"] == 36


class Model(http.server.BaseHTTPRequestHandler):
    """Its first program has a mistake; the next, once it is shown the mistake, has none, and looks for the key."""

    programs = ["import os\nprint(undefined_name)", "import os\nprint(42, os.environ.get('MODEL_KEY'))"]
    seen: list = []

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.headers["Authorization"], asked))
        answer = json.dumps({"choices": [{"message": {"content": self.programs[len(self.seen) - 1]}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format, *arguments):
        pass


@pytest.fixture
def model():
    Model.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


@for_full
def test_the_agent_has_the_key_and_nobody_else(tmp_path, daemon, model):
    connection = json.dumps({"conn_type": "http", "host": model, "password": KEY})
    home = Home(tmp_path, daemon, AIRFLOW_CONN_AGENT_LLM=connection)
    result = home.run(*example("example_sandbox_agent"))
    assert result.run == "success" and result.values == {"answer": {"answer": "42 None", "attempts": 2}}
    assert [authorization for authorization, _ in Model.seen] == [f"Bearer {KEY}"] * 2
    assert "undefined_name" in Model.seen[1][1]["messages"][-1]["content"], "the model is shown its mistake"
    assert KEY not in result.output + json.dumps(result.xcoms) + json.dumps(result.fields)
    with open(os.path.join(home.folder, "airflow.db"), "rb") as database:
        assert KEY.encode() not in database.read()
