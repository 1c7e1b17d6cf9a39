#!/usr/bin/env python3
"""Stands in for the interpreter of a sandbox: reads the workload file as `execute_workload` does, and acts by the task's name.

    ok            exits 0             exit_N      exits N
    wait_NAME     says that it runs (folder/NAME.started), waits for folder/NAME.go, exits 0
Each run appends one line to folder/runs: so running twice shows.
"""

import json
import os
import sys
import threading


def main():
    folder = os.environ["TEST_FOLDER"]
    task_form = ["-m", "airflow.sdk.execution_time.execute_workload", "--json-path"]
    assert sys.argv[1:-1] == task_form or (sys.argv[1] == "-c" and len(sys.argv) in (4, 5)), sys.argv
    with open(sys.argv[-1], encoding="utf-8") as file:
        workload = json.load(file)
    if workload["type"] == "ExecuteCallback":
        name, rest = workload["callback"]["data"]["path"], ""
    else:
        ti = workload["ti"]
        name, rest = ti["task_id"], f"{ti['map_index']} {ti['try_number']} {ti['id']}"
    with open(os.path.join(folder, "runs"), "a", encoding="utf-8") as file:
        file.write(f"{name} {rest}\n")
    print(json.dumps({"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": f"hello from {name}", "logger": "task"}),
          flush=True)
    if name.startswith("exit_"):
        return int(name[5:])
    if name.startswith("wait_"):
        base = os.path.join(folder, name)
        with open(base + ".started", "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        pause = threading.Event()
        while not os.path.exists(base + ".go"):
            pause.wait(0.02)
    return 0


if __name__ == "__main__":
    sys.exit(main())
