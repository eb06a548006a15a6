"""The steps, from the first `sam deploy` to `sam delete`."""

import tempfile
from pathlib import Path

from . import checks, people
from .build import actions, build
from .emulator import emulator
from .processes import INTERRUPTION
from .progress import step
from .stack import Stack
from .template import narrowed, written


def session(release):
    with tempfile.TemporaryDirectory(prefix="emulated-deployment-") as directory, emulator(directory) as aws:
        stack = Stack(aws, Path(directory))
        try:
            steps(stack, release)
        except Exception:
            if not INTERRUPTION.why:
                checks.causes(stack)
            raise


def steps(stack, release):
    before = stack.inventory()
    with step("build"):
        code, template = build(release)
    with step("sam deploy"):
        stack.deploy(template)
    with step("operators"):
        people.operators(stack)
    with step("people"):
        ann, bob, conversation = people.people(stack)
    with step("queue"):
        people.queue(stack, bob, conversation)
    with step("offline"):
        people.offline(stack, ann, bob)
    with step("sam deploy again: no changes"):
        checks.unchanged(stack, template)
    with step("schedules"):
        checks.schedules(stack)
    with step("verify finds nothing wrong"):
        checks.nothing_wrong(stack)
    with step("every function has run, with the permissions that it has"):
        checks.everything_ran(stack)
    with step("sam deploy without dynamodb:UpdateItem for send"):
        stack.deploy(written("narrowed.yaml", code, narrowed("send", "dynamodb:UpdateItem")))
    with step("just that is refused"):
        people.refused(stack, ann)
    with step("sam deploy as it was"):
        stack.deploy(template)
    with step("nothing is refused"):
        people.restored(ann)
    with step("every action is answered"):
        people.every_action(ann, actions())
    with step("sam delete"):
        names = checks.deleted(stack, before)
    print(f"left of the stack: {', '.join(sorted(names))}")
