"""Images of the local provider: directories and OCI layouts as roots, without Docker."""

import os
import subprocess

import pytest

from tests.harness import oci
from tests.harness.client import end, spec
from tests.harness.daemon import DAEMON, LAUNCHER, Daemon
from tests.harness.stubs import executor_pb2
from tests.harness.waiting import until

pytestmark = pytest.mark.usefixtures("needs_bubblewrap")

_NAME = ["sh", "-c", ". /etc/os-release; echo $ID"]


def _configure(daemon, images, **section):
    daemon.configure({"providers": {"local": {"isolation": "bubblewrap", "images": images, **section}}})


def _layout(daemon):
    """An OCI layout with two tags: one layer of busybox, and one on top that changes it."""
    base = oci.layer_of(oci.busybox_root(os.path.join(daemon.folder, "scratch"), "one"))
    layout = oci.Layout(os.path.join(daemon.folder, "layout"))
    layout.add([base], "one")
    layout.add([base, oci.layer_with({"etc/os-release": b"ID=two\n", "bin/.wh.vi": b"", "data/": b"", "data/file": b"of two"})], "two",
               Env=["PATH=/bin", "FLAVOUR=vanilla", "SHADE=dark"], WorkingDir="/data")
    return layout.path


@pytest.fixture(scope="module")
def images(needs_bubblewrap):
    with Daemon() as daemon:
        layout = _layout(daemon)
        _configure(daemon, {"plain": oci.busybox_root(os.path.join(daemon.folder, "plain"), "plain"), "one": layout + ":one",
                            "two": layout + ":two", "missing": os.path.join(daemon.folder, "missing")})
        yield daemon.start()


def _run(daemon, image, argv=None, **fields):
    task = daemon.client.run(spec(argv=argv or _NAME, override={"image": image, **fields}))
    return task, daemon.client.log(task.id).decode()


def test_the_same_task_runs_on_each_image(images):
    for image in ("plain", "one", "two"):
        task, output = _run(images, image)
        assert (end(task)[2], output) == (0, image + "\n"), (task.message, images.client.log(task.id, "STDERR"))


def test_an_images_environment_and_directory_stand_below_the_tasks_own(images):
    show = ["sh", "-c", "echo $FLAVOUR $SHADE; pwd; cat file; ls /bin/vi"]
    task, output = _run(images, "two", show, env={"SHADE": "bright"})
    assert output == "vanilla bright\n/data\nof two", images.client.log(task.id, "STDERR")
    _, output = _run(images, "two", ["pwd"], workdir="/tmp")
    assert output == "/tmp\n"


def test_a_root_stays_as_it_is(images):
    for image in ("plain", "two"):
        task, _ = _run(images, image, ["touch", "/etc/new"])
        assert end(task)[2] == 1
        assert b"Read-only file system" in images.client.log(task.id, "STDERR")


def test_tasks_can_write_where_they_should(images):
    task, output = _run(images, "plain", ["sh", "-c", "echo kept > file && echo kept > /tmp/file && cat file /tmp/file"])
    assert (end(task)[2], output) == (0, "kept\nkept\n"), images.client.log(task.id, "STDERR")


def test_an_unknown_name_is_rejected_with_the_names_that_there_are(images):
    result = images.client.submit_all([spec(argv=["true"], override={"image": "alpine"})])[0]
    assert result.outcome == executor_pb2.SubmitResult.REJECTED
    violation, = result.violations
    assert violation.field.endswith("image")
    assert "missing, one, plain, two" in violation.description


def test_a_name_without_anything_behind_it_ends_image_not_found(images):
    task, _ = _run(images, "missing")
    assert end(task)[:2] == ("FAILED", "IMAGE_NOT_FOUND")
    assert "missing" in task.message


def test_a_damaged_layer_ends_image_not_found_with_its_digest():
    with Daemon() as daemon:
        layout = _layout(daemon)
        _configure(daemon, {"one": layout + ":one"})
        blobs = os.path.join(layout, "blobs", "sha256")
        largest = max(os.listdir(blobs), key=lambda name: os.path.getsize(os.path.join(blobs, name)))
        with open(os.path.join(blobs, largest), "r+b") as file:
            file.seek(1000)
            file.write(b"damage")
        daemon.start()
        task, _ = _run(daemon, "one")
        assert end(task)[:2] == ("FAILED", "IMAGE_NOT_FOUND")
        assert largest in task.message


def test_the_check_of_a_configuration_finds_images_that_are_none():
    with Daemon() as daemon:
        _configure(daemon, {"good": _layout(daemon) + ":one", "bad": os.path.join(daemon.folder, "nothing")})
        check = subprocess.run([DAEMON, "--config", daemon.config_file, "--check_config", "--connect", "--launcher", LAUNCHER],
                               check=False, capture_output=True, text=True, timeout=60)
        assert check.returncode != 0
        assert "images.bad" in check.stdout and "images.good" not in check.stdout


def test_unpacked_images_that_nobody_names_any_more_go_at_the_next_start():
    with Daemon() as daemon:
        layout = _layout(daemon)
        _configure(daemon, {"one": layout + ":one", "two": layout + ":two"})
        daemon.start()
        for image in ("one", "two"):
            _run(daemon, image)
        store = os.path.join(daemon.state_dir, "images", "local")
        assert len(os.listdir(store)) == 2
        _configure(daemon, {"two": layout + ":two"})
        task = daemon.client.submit(spec(argv=["tail", "-f", "/dev/null"], override={"image": "one"}))
        daemon.client.wait_running(task)
        daemon.restart()
        _run(daemon, "two")
        assert len(os.listdir(store)) == 2  # a sandbox still runs on it
        daemon.client.cancel(task)
        daemon.client.wait(task)
        daemon.restart()
        _run(daemon, "two")
        until(lambda: len(os.listdir(store)) == 1, "the unused image is gone")
