"""Records what Airflow's own reader shows of fixed objects of the `airflow` layout, in logs/testing/airflow_golden.json.

    bazel build --config=opt //tests/logstores:airflow_objects
    BOXKEEPER_FULL=1 BOXKEEPER_BIN=$(bazel info --config=opt bazel-bin) /usr/bin/python3 -m tests.logstores.airflow_golden

logs/testing/airflow_cases.cc makes the objects. Every day, logs/testing/airflow_golden_test.cc holds our renderer and our model of the
reader against the recording; with BOXKEEPER_FULL, test_readers.py holds the recording against the reader.
"""

import hashlib
import json
import os
import re
import subprocess

from tests.harness import s3_servers
from tests.harness.daemon import BIN
from tests.harness.stubs import ROOT
from tests.logstores.reader import Reader

_GOLDEN = os.path.join(ROOT, "logs", "testing", "airflow_golden.json")
_WHOLE, _BEGIN = 2000, 40


def _short(text):
    """Long texts by their sums, as airflow_golden_test.cc does it."""
    data = text.encode()
    if len(data) <= _WHOLE:
        return text
    return f"{data[:_BEGIN].decode()}... {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def _shown(reader, server, path, separate):
    question = {"base": f"s3://{server.bucket}/golden", "path": path, "separate": separate}
    shown = reader.ask({**question, "running": False})
    assert shown == reader.ask({**question, "running": True}), path
    return [[_short(event), logger, time] for event, logger, time in shown]


def _case(server, reader, made):
    for item in made["objects"]:
        server.put(f"golden/{item['name']}", item["content"].encode())
    return {"name": made["name"], "objects": [{"name": item["name"], "content": _short(item["content"])} for item in made["objects"]],
            "separate": _shown(reader, server, made["path"], True), "joined": _shown(reader, server, made["path"], False)}


def record(server, reader):
    """The recording, made anew: each object a stream of its own, and all of them one stream."""
    printed = subprocess.run([os.path.join(BIN, "tests", "logstores", "airflow_objects")], stdout=subprocess.PIPE, check=True).stdout
    with open(os.path.join(os.path.dirname(__file__), "readers.txt"), encoding="utf-8") as file:
        versions = re.findall(r"^(?:apache-airflow-core|apache-airflow-providers-amazon)==.*$", file.read(), re.M)
    return {"readers": versions, "cases": [_case(server, reader, json.loads(line)) for line in printed.splitlines()]}


def recorded():
    """The recording, as it is."""
    with open(_GOLDEN, encoding="utf-8") as file:
        return json.load(file)


def main():
    """Records anew."""
    with s3_servers.any_server() as server, Reader(server, "airflow_reader.py") as reader:
        golden = record(server, reader)
    # A record on a line, so that differences can be read.
    text = json.dumps(golden, indent=1, ensure_ascii=True)
    text = re.sub(r'\[\n\s+("(?:[^"\\]|\\.)*"), *\n\s+("(?:[^"\\]|\\.)*"|null), *\n\s+(\d+|null)\n\s+\]', r"[\1, \2, \3]", text)
    with open(_GOLDEN, "w", encoding="utf-8") as file:
        file.write(text + "\n")


if __name__ == "__main__":
    main()
