"""Airflow's public REST API (v2), as far as the scenarios need it."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid

from tests.harness.waiting import until

_POLL_SECONDS = 0.25  # each question costs the API server some milliseconds of a core
# States in which nothing more happens to a task instance.
FINISHED = {"success", "failed", "skipped", "upstream_failed", "removed"}


class Rest:
    """A client of one API server. All methods raise AssertionError with the server's words if it refuses."""

    def __init__(self, url):
        self.url = url
        self._token = ""

    def call(self, method, path, body=None, accept="application/json"):
        """The answer's JSON (with another `accept`, its text)."""
        if not self._token:
            self._token = self._log_in()
        return self._call(method, path, body, accept)

    def _call(self, method, path, body, accept):
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode(), headers={
            "Authorization": f"Bearer {self._token}", "Accept": accept, "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:800]}") from error
        return json.loads(text) if accept == "application/json" and text else text

    def _log_in(self):
        """Every user is an admin of the stand."""
        with urllib.request.urlopen(self.url + "/auth/token", timeout=60) as answer:
            return json.load(answer)["access_token"]

    def serves(self):
        """True if the server answers."""
        try:
            with urllib.request.urlopen(self.url + "/api/v2/monitor/health", timeout=10) as answer:
                return json.load(answer)
        except (OSError, http.client.HTTPException):
            return None

    def dag_ids(self):
        """Of every DAG that was read so far."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}

    def import_errors(self):
        """Why DAG files could not be read."""
        return [error["stack_trace"] for error in self.call("GET", "/api/v2/importErrors")["import_errors"]]

    def trigger(self, dag_id, **conf):
        """Starts a run with this `conf`; returns its id."""
        run_id = f"r-{uuid.uuid4().hex[:8]}"
        self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf})
        # Airflow 3.0 answers before it has committed.
        until(lambda: run_id in [run["dag_run_id"] for run in self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100&order_by=-id")["dag_runs"]],
              f"{run_id} is there", 30, _POLL_SECONDS)
        return run_id

    def run_state(self, dag_id, run_id):
        """queued, running, success or failed."""
        return self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"]

    def instances(self, dag_id, run_id):
        """The task instances of a run, by task id, with [map index] if they are mapped."""
        found, path = {}, f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        while True:
            answer = self.call("GET", f"{path}&offset={len(found)}")
            for one in answer["task_instances"]:
                found[one["task_id"] + (f"[{one['map_index']}]" if one["map_index"] >= 0 else "")] = one
            if len(found) >= answer["total_entries"] or not answer["task_instances"]:
                return found

    def states(self, dag_id, run_id):
        """{task: (state, try number)}"""
        return {name: (one["state"], one["try_number"]) for name, one in self.instances(dag_id, run_id).items()}

    def wait_for_run(self, dag_id, run_id, seconds=180):
        """Waits for the end of a run; returns `states`."""
        def ended():
            return self.run_state(dag_id, run_id) in ("success", "failed")

        try:
            until(ended, f"end of {dag_id}/{run_id}", seconds, _POLL_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.states(dag_id, run_id)}") from error
        return self.states(dag_id, run_id)

    def wait_for_state(self, dag_id, run_id, task, state, seconds=90, try_number=None):
        """Waits until a task instance (of a try) is in a state; returns it."""
        seen = []

        def reached():
            one = self.instances(dag_id, run_id).get(task)
            now = (one["state"], one["try_number"]) if one else None
            if now not in seen[-1:]:
                seen.append(now)
            return one if one and one["state"] == state and try_number in (None, one["try_number"]) else None

        try:
            return until(reached, f"{dag_id}/{run_id}/{task} {state}", seconds, _POLL_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; states seen: {seen}") from error

    def clear(self, dag_id, run_id, *tasks):
        """Clears task instances, running ones too."""
        self.call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", {
            "dry_run": False, "dag_run_id": run_id, "task_ids": list(tasks), "only_failed": False, "only_running": False})

    def set_state(self, dag_id, run_id, task, state):
        """What "mark as success" and "mark as failed" do."""
        self.call("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}", {"new_state": state})

    def log(self, dag_id, run_id, task, try_number=1, map_index=-1):
        """A try's log as the user interface gets it: the records, without the group that names the sources."""
        records = self._log(dag_id, run_id, task, try_number, map_index)
        end = next((at for at, one in enumerate(records) if one["event"] == "::endgroup::"), -1)
        return records[end + 1:]

    def log_sources(self, dag_id, run_id, task, try_number=1, map_index=-1):
        """What the log's first group says: where it comes from, and messages of the executor."""
        records = [one["event"] for one in self._log(dag_id, run_id, task, try_number, map_index)]
        return records[1:records.index("::endgroup::")] if "::endgroup::" in records else []

    def _log(self, dag_id, run_id, task, try_number, map_index):
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/logs/{try_number}?full_content=true&map_index={map_index}"
        content = self.call("GET", path)["content"]
        return [one if isinstance(one, dict) else {"event": one} for one in content]

    def events(self, dag_id, run_id, task=None):
        """(event, extra) of the audit log's entries for a run, oldest first."""
        query = {"dag_id": dag_id, "run_id": run_id, "limit": 100, **({"task_id": task} if task else {})}
        found = self.call("GET", "/api/v2/eventLogs?" + urllib.parse.urlencode(query))["event_logs"]
        return [(one["event"], one["extra"]) for one in sorted(found, key=lambda one: one["event_log_id"])]
