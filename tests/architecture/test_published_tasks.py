"""Tasks are published by name: every name is a task, on the queue it is sent to, and takes what it is sent."""

import ast
import inspect

import pytest

from apps.common.tasks import queue_of
from config.celery import app
from tests.architecture.source import dotted, modules

Publication = tuple[str, ast.Call]


def publications() -> list[Publication]:
    return [
        (f"{module.where}:{node.lineno}", node)
        for module in modules()
        # Asked of the text first, since every run of the tests waits for this before it begins.
        if "publish" in module.text and {"apps.common.tasks.publish", "apps.common.tasks"} & set(module.imported())
        for node in module.walk()
        if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "publish"
    ]


def test_something_is_published() -> None:
    assert publications()


@pytest.mark.parametrize(("where", "call"), publications(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_published_name_is_a_task_that_takes_these_arguments(where: str, call: ast.Call) -> None:
    app.loader.import_default_modules()
    assert len(call.args) == 1, f"{where}: the name, then keywords"
    assert isinstance(call.args[0], ast.Constant), f"{where}: the name is written out, so that this test can read it"
    name = str(call.args[0].value)
    assert name in app.tasks, f"{where}: no task is called {name}"
    sent = {keyword.arg for keyword in call.keywords}
    assert None not in sent, f"{where}: keywords are written out too"
    task = app.tasks[name]
    accepted = inspect.signature(task.run).parameters
    assert sent <= set(accepted), f"{where}: {name} does not take {sent - set(accepted)}"
    due = {
        key
        for key, parameter in accepted.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    assert due <= sent, f"{where}: {name} is not given {due - sent}"
    assert any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()), (
        f"{name} must tolerate keywords of a newer publisher: **_later"
    )
    assert getattr(task, "queue", None) in (None, queue_of(name)), f"{name} is published to another queue than its own"
