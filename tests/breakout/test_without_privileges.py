"""In a container that forbids namespaces: `bubblewrap` refuses and says why, `auto` says what it lacks."""

import pytest

from tests.harness.client import end, spec
from tests.harness.daemon import Daemon
from tests.harness.stubs import admin_pb2
from tests.harness.waiting import until

pytestmark = pytest.mark.usefixtures("needs_bubblewrap")

# A user namespace in which no further one can be made, without capabilities: what most container runtimes give.
_CONTAINER = ["unshare", "--user", "--map-root-user", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && "
              "exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- \"$0\" \"$@\""]


def _status(daemon):
    return daemon.client.call(daemon.client.admin.GetStatus, admin_pb2.GetStatusRequest())


def _refusal(daemon):
    """What is said to a submission that is refused; "" if it is not."""
    result = daemon.client.submit_all([spec(argv=["true"])], validate_only=True)[0]
    return "; ".join(violation.description for violation in result.violations)


def test_bubblewrap_refuses_and_says_what_is_missing():
    with Daemon({"providers": {"local": {"isolation": "bubblewrap"}}}, prefix=_CONTAINER) as daemon:
        daemon.start()
        refused = until(lambda: _refusal(daemon), "the launcher has told what it can")
        assert "isolation 'bubblewrap' cannot be had on this host" in refused and "namespace" in refused
        assert any("no task can be started" in warning and "namespace" in warning for warning in _status(daemon).warnings)


def test_auto_runs_degraded_where_that_is_allowed_and_says_what_it_lacks():
    with Daemon({"providers": {"local": {"isolation": "auto", "allow_degraded": True}}}, prefix=_CONTAINER) as daemon:
        daemon.start()
        task = daemon.client.run(spec(argv=["true"]))
        assert end(task)[:3] == ("SUCCEEDED", "EXIT_CODE", 0)
        assert task.sandbox.isolation == "none"
        assert any("isolation" in warning and "namespace" in warning for warning in _status(daemon).warnings)
