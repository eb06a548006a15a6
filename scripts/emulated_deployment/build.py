"""Builds the functions."""

import json
import os

from .processes import run
from .settings import ARCHITECTURE, WORK
from .template import FUNCTIONS, logical_id, written
from .tools import SAM


def build(release):
    """Builds the functions; gives where each one's code is, and the template to deploy."""
    return build_as_deployed() if release else build_as_tested()


def build_as_tested():
    # With all targets, as `cargo test` has them: with others the dependencies' features differ, and all is compiled anew.
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--all-targets", "--message-format", "json"]
    built = {}
    for line in run(command).splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("executable") and message["target"]["kind"] == ["bin"] and not message["profile"]["test"]:
            built[message["target"]["name"]] = message["executable"]
    code = {}
    for name in FUNCTIONS:
        code[name] = WORK / "code" / name
        code[name].mkdir(parents=True, exist_ok=True)
        run(["strip", "-o", code[name] / "bootstrap", built[name]])
    return code, written("template.yaml", code)


def build_as_deployed():
    directory = WORK / "build"
    options = ["--build-dir", directory, "--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    run([SAM, "build", *options], env={"CARGO_LAMBDA_COMPILER": "cargo", **os.environ})
    return {name: directory / logical_id(name) for name in FUNCTIONS}, directory / "template.yaml"


def actions():
    """The table of actions, from where it stands."""
    table = run(["cargo", "run", "--quiet", "--locked", "-p", "wire", "--example", "actions", "json"])
    return [json.loads(line) for line in table.splitlines()]
