"""In a container that forbids namespaces: `bubblewrap` refuses and says why, `auto` says what it lacks."""

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import admin_pb2, task_pb2

pytestmark = pytest.mark.usefixtures("needs_bubblewrap")

# A user namespace in which no further one can be made, without capabilities: what most container runtimes give.
_CONTAINER = ["unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && "
              "exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- \"$0\" \"$@\""]


def _status(daemon):
    return daemon.client.call(daemon.client.admin.GetStatus, admin_pb2.GetStatusRequest())


def test_bubblewrap_refuses_and_says_what_is_missing():
    with Daemon({"providers": {"local": {"isolation": "bubblewrap"}}}, prefix=_CONTAINER) as daemon:
        daemon.start()
        identity = daemon.client.submit(spec(argv=["true"], override={"start_deadline": "3s"}))
        task = daemon.client.wait(identity)
        assert end(task)[0] == "FAILED" and task.user_code_started == task_pb2.USER_CODE_STARTED_NO, end(task)
        said = " ".join([task.message, *task.notes, *_status(daemon).warnings, daemon.log_text()])
        assert "namespace" in said, said


def test_auto_runs_degraded_where_that_is_allowed_and_says_what_it_lacks():
    with Daemon({"providers": {"local": {"isolation": "auto", "allow_degraded": True}}}, prefix=_CONTAINER) as daemon:
        daemon.start()
        task = daemon.client.run(spec(argv=["true"]))
        assert end(task)[:3] == ("SUCCEEDED", "EXIT_CODE", 0)
        assert task.sandbox.isolation == "none"
        assert any("isolation" in warning and "namespace" in warning for warning in _status(daemon).warnings)
