"""Dependency directions: which folder may use which. The picture is in docs/architecture.md."""

import ast
import os
import sys
import xml.etree.ElementTree as ElementTree

from tools.checks import step

_ANYTHING = None
# Folder -> folders whose targets its targets may name, beside itself. `base/core` is the part of base without Boost.
_ALLOWED = {
    "proto": set(),
    "third_party": set(),
    "tools": set(),
    "base": {"proto"},
    "store": {"base", "proto"},
    "providers": {"base", "proto"},
    "logs": {"base", "proto"},
    "artifacts": {"base", "proto", "logs"},
    "blobs": {"base", "proto"},
    "config": {"base", "proto"},
    "launcher": {"base/core"},
    "watcher": {"base", "proto", "store", "providers", "logs", "config"},
    "daemon": {"base", "proto", "store", "providers", "logs", "artifacts", "blobs", "config", "watcher"},
    "cli": {"base", "proto"},
    "plugins": {"proto"},
    "deploy": set(),
    "tests": _ANYTHING,
    "bench": _ANYTHING,
}
# Targets of other folders that one package may name: the border between them.
_BORDERS = {"providers/local": {"//launcher:launch_spec", "//launcher:protocol"}}
# Depends on nothing and is nothing in a product: any folder may mark its moments.
_EVERYWHERE = {"//base:fault_points"}
# What a test of the folder may use on top.
_TESTS_ALSO = {"providers": {"launcher"}, "daemon": {"launcher"}, "launcher": {"base"}}

# The same for the Python under plugins/: folder -> what its modules may import, beside the standard library and itself.
_PROVIDER = "plugins/airflow/src/boxkeeper/airflow"
_CLIENT = {"boxkeeper.client", "boxkeeper.v1"}
_IMPORTS = {
    "plugins/client/src/boxkeeper/client": {"boxkeeper.v1", "grpc", "google"},
    f"{_PROVIDER}/hooks": {"airflow", "boxkeeper.client", "flask_appbuilder", "flask_babel", "wtforms"},
    f"{_PROVIDER}/executors": {"airflow", "boxkeeper.airflow.cli.definition", "sqlalchemy", "google", *_CLIENT},
    f"{_PROVIDER}/commands": {"airflow", "boxkeeper.airflow.hooks", "google", *_CLIENT},
    f"{_PROVIDER}/triggers": {"airflow", "asgiref", "boxkeeper.airflow.commands", *_CLIENT},
    f"{_PROVIDER}/operators": {"airflow", "boxkeeper.airflow.commands", "boxkeeper.airflow.triggers", *_CLIENT},
    f"{_PROVIDER}/decorators": {"airflow", "boxkeeper.airflow.commands", "boxkeeper.airflow.operators", *_CLIENT},
    f"{_PROVIDER}/example_dags": {"airflow", "boxkeeper.airflow"},
    f"{_PROVIDER}/cli": {"airflow", "boxkeeper.airflow.executors", *_CLIENT},
    _PROVIDER: {"boxkeeper.airflow.hooks"},  # what every process of Airflow imports
}


def _package(label):
    return label.removeprefix("//").partition(":")[0]


def _inside(package, folder):
    return package == folder or package.startswith(folder + "/")


def _violation(package, dependency, is_test):
    """Why a target in `package` may not name one in `dependency`; None if it may."""
    folder = package.split("/")[0]
    if folder not in _ALLOWED:
        return f"folder '{folder}' is not in tools/checks/arrows.py"
    allowed = _ALLOWED[folder]
    if allowed is _ANYTHING:
        return None
    if _inside(dependency, folder):
        backend, other = package.split("/"), dependency.split("/")
        if folder == "providers" and len(backend) > 1 and len(other) > 1 and backend[1] != other[1] and other[1] not in ("testing", "runtime"):
            return "one provider must not use another"
        return None
    also = _TESTS_ALSO.get(folder, set()) if is_test else set()
    if any(_inside(dependency, f) for f in allowed | also):
        return None
    return f"'{folder}' may use only {', '.join(sorted(allowed)) or 'nothing'}"


def dependencies():
    """Every edge of the build graph goes the allowed way."""
    code, output = step.run(["bazel", "query", "--output=xml", "--noimplicit_deps", "--keep_going", 'kind("cc_.* rule", //...)'],
                            quiet=True)
    start = output.find("<?xml")
    if start < 0:
        return step.findings("dependency arrows", [f"bazel query failed ({code}): {output[-400:]}"])
    problems = []
    for rule in ElementTree.fromstring(output[start:output.rfind("</query>") + len("</query>")]).iter("rule"):
        package = _package(rule.get("name"))
        testonly = rule.find("boolean[@name='testonly']")
        is_test = rule.get("class") == "cc_test" or (testonly is not None and testonly.get("value") == "true")
        labels = [label.get("value") for names in rule.iter("list") if names.get("name") == "deps" for label in names.iter("label")]
        for label in labels:
            if label.startswith("@") or label in _EVERYWHERE:
                continue
            why = None if label in _BORDERS.get(package, ()) else _violation(package, _package(label), is_test)
            if why:
                problems.append(f"{rule.get('name')} names {label}: {why}")
    return step.findings("dependency arrows", problems)


def _imported(path):
    """(line, module) of every import of a Python file, relative ones as they are written."""
    for node in ast.walk(ast.parse(step.read(path), path)):
        if isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name


def python_imports():
    """Every import of the Python packages under plugins/ goes the allowed way."""
    problems = []
    for path in step.tracked_files():
        if not path.startswith(("plugins/airflow/src/", "plugins/client/src/")) or not path.endswith(".py") or "/boxkeeper/v1/" in path:
            continue
        folder = os.path.dirname(path)
        if folder not in _IMPORTS:
            problems.append(f"{path}: folder '{folder}' is not in tools/checks/arrows.py")
            continue
        own = folder.partition("/src/")[2].replace("/", ".")
        allowed = _IMPORTS[folder] | {own}
        for line, module in _imported(path):
            known = module.partition(".")[0] in sys.stdlib_module_names or any(module == a or module.startswith(a + ".") for a in allowed)
            if not known:
                problems.append(f"{path}:{line}: imports {module}; '{own}' may import only {', '.join(sorted(allowed))}")
    return step.findings("python arrows", problems)
