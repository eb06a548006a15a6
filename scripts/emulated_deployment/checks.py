"""What must be true of the account: what has run, what is kept, what is left."""

import contextlib
import json
import sys

from botocore.exceptions import BotoCoreError, ClientError

from .progress import must, until
from .settings import ANSWER_S, SCHEDULE_S
from .template import FUNCTIONS, kept, scheduled


def unchanged(stack, template):
    """What is deployed again is what is there."""
    said = stack.deploy(template)
    must("No changes to deploy" in said, f"something has changed:\n{said}")


def schedules(stack):
    """What runs by a schedule: the sweep by its own, each minute; the others, which wait for a day, by hand."""
    until("the sweep by its schedule", SCHEDULE_S, lambda: stack.requests("sweep"))
    for function in scheduled():
        if not stack.requests(function):
            stack.invoke(function)


def nothing_wrong(stack):
    """An operator has everything checked that is kept."""
    report = stack.invoke("verify")
    must(report["checked"]["LOG"] > 0 and not report["findings"] and not report["cursor"], f"verify: {report}")


def everything_ran(stack):
    """Each function has had requests, and no request failed, nor was any call refused."""
    for function in FUNCTIONS:
        requests = until(f"{function} has run", ANSWER_S, lambda: stack.requests(function))
        must(any(it["outcome"] == "ok" for it in requests), f"{function}: nothing was done: {requests}")
        trouble = stack.trouble(function)
        must(not trouble, f"{function}: {json.dumps(trouble, indent=1)}")


def causes(stack):
    """After a failure, what the functions say of it. A client isn't told."""
    # There may be no emulator any more, or no such function yet.
    with contextlib.suppress(BotoCoreError):
        for function in FUNCTIONS:
            with contextlib.suppress(ClientError):
                for it in stack.trouble(function):
                    said = it.get("cause") or it["message"]
                    print(f"  {function}, {it.get('action', it['level'])}: {said}", file=sys.stderr)


def deleted(stack, before):
    """The stack goes; what stays is what the template says, and the messages in it."""
    resources = stack.resources()
    stack.delete()
    left = stack.inventory() - before
    names = {name for name, physical in resources.items() if physical in left}
    must(len(names) == len(left), f"left, and not of the stack: {left}")
    # A bucket's policy, and what lets API Gateway write logs, are settings of the bucket and the account: nothing to list.
    wanted = kept() - {"ApiGatewayAccount", "ArchiveBucketPolicy"}
    must(names == wanted, f"left: {names}; to be kept: {wanted}")
    count = stack.aws("dynamodb").scan(TableName=stack.outputs["TableName"], Select="COUNT")["Count"]
    must(count > 0, "the table still has what was said")
    return names
