"""template.yaml, as text: what is deployed is the file itself, changed as little as can be."""

import re

from .progress import must
from .settings import ROOT, WORK

TEXT = (ROOT / "template.yaml").read_text()
FUNCTIONS = sorted(it.name for it in (ROOT / "functions").iterdir() if it.is_dir())


def logical_id(function):
    return function.title() + "Function"


def resources():
    """Where each resource is in the text, by its name."""
    section = re.search(r"^Resources:\n(?:  .*\n|\n)+", TEXT, re.MULTILINE)
    found = re.compile(r"^  (\w+):\n(?:    .*\n|\n)+", re.MULTILINE).finditer(TEXT, *section.span())
    return {it[1]: it.span() for it in found}


def resource(name):
    """Where a resource is in the text, and its own text."""
    must(name in resources(), f"template.yaml: no resource {name}")
    start, end = resources()[name]
    return start, end, TEXT[start:end]


def scheduled():
    """The functions that run by a schedule."""
    return [it for it in FUNCTIONS if "Type: ScheduleV2" in resource(logical_id(it))[2]]


def kept():
    """The resources that stay when the stack goes."""
    return {it for it in resources() if re.search(r"^    DeletionPolicy: Retain$", resource(it)[2], re.MULTILINE)}


def narrowed(function, action):
    """The text without one action of one function's policy, on any kind of item."""
    start, end, text = resource(logical_id(function))
    within, removed = re.subn(rf", {action}\b|\b{action}, ", "", text)
    must(removed, f"{logical_id(function)} has no {action} beside another action")
    return TEXT[:start] + within + TEXT[end:]


def written(name, code, text=TEXT):
    """A file with the text, its code where it was built, and nothing else changed: what `sam build` makes of it."""
    for function, directory in code.items():
        text, replaced = re.subn(rf"CodeUri: functions/{function}\n", f"CodeUri: {directory}\n", text)
        must(replaced == 1, f"template.yaml: CodeUri of {function}")
    path = WORK / name
    path.write_text(text)
    return path
