"""The deployment, as its owner sees it."""

import json
import time

import boto3
from botocore.config import Config

from .processes import run
from .progress import must
from .settings import ANSWER_S, ARCHITECTURE, DEPLOY_S, REGION, ROOT, STACK
from .template import logical_id
from .tools import SAM

# What `sam deploy --resolve-s3` puts the code into: its own stack, for all of an account's.
SAM_BUCKET = "aws-sam-cli-managed-default"
# Everything of the kinds that the template has: service, operation, where its answer lists them, and what names one.
LISTED = (
    ("apigatewayv2", "get_apis", "Items", "ApiId"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    ("dynamodb", "list_tables", "TableNames", None),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("scheduler", "list_schedules", "Schedules", "Name"),
    ("secretsmanager", "list_secrets", "SecretList", "ARN"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("sqs", "list_queues", "QueueUrls", None),
)


class Stack:
    """One stack in the emulator."""

    def __init__(self, emulator, directory):
        self.emulator = emulator
        # SAM's own settings: no telemetry, no question to the network whether there is a newer one.
        metadata = {"telemetryEnabled": False, "lastVersionCheck": time.time()}
        (directory / "metadata.json").write_text(json.dumps(metadata))
        self.environment = emulator.environment | {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(directory)}
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        limits = Config(connect_timeout=ANSWER_S, read_timeout=ANSWER_S)
        self.aws = lambda service: session.client(service, endpoint_url=emulator.url, config=limits)

    def sam(self, *arguments):
        config = ["--config-file", ROOT / "samconfig.toml", "--region", REGION]
        return run([SAM, *arguments, *config], DEPLOY_S, env=self.environment)

    def deploy(self, template):
        """As README.md has it, with the answers that a person would give."""
        options = ["--no-confirm-changeset", "--parameter-overrides", f"Architecture={ARCHITECTURE}"]
        said = self.sam("deploy", "--template-file", template, *options)
        stack = self.aws("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        must(stack["StackStatus"].endswith("_COMPLETE") and "ROLLBACK" not in stack["StackStatus"], said)
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
        return said

    def delete(self):
        self.sam("delete", "--stack-name", STACK, "--no-prompts")

    def resources(self):
        """Each resource's physical id, by its name in the template."""
        found = self.aws("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        return {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in found}

    def inventory(self):
        """What there is in the account, of the kinds that the template has."""
        found = set()
        for service, operation, field, name in LISTED:
            client = self.aws(service)
            if client.can_paginate(operation):
                pages = client.get_paginator(operation).paginate()
            else:
                pages = [getattr(client, operation)()]
            found |= {it[name] if name else it for page in pages for it in page.get(field, [])}
        return {it for it in found if not it.startswith(SAM_BUCKET)}

    def address(self, output):
        """Where an address of the outputs is: the emulator has no DNS."""
        host, _, path = self.outputs[output].partition("://")[2].partition("/")
        return f"{self.emulator.url}/_aws/execute-api/{host.split('.')[0]}/{path}".rstrip("/")

    def secret(self):
        """The secret that the stack has made for its tokens."""
        return self.aws("secretsmanager").get_secret_value(SecretId=self.outputs["JwtSecretArn"])["SecretString"]

    def item(self, pk, sk):
        """An item of the table; empty if there is none."""
        key = {"pk": {"S": pk}, "sk": {"S": sk}}
        return self.aws("dynamodb").get_item(TableName=self.outputs["TableName"], Key=key).get("Item", {})

    def connections(self, user):
        """Where a user is connected, by the table."""
        return list(self.item(f"USER#{user}", "PRESENCE").get("connections", {}).get("M", {}))

    def lines(self, function):
        """What a function has logged, each line that is JSON."""
        group = self.resources()[logical_id(function).removesuffix("Function") + "Logs"]
        pages = self.aws("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        texts = [event["message"].strip() for page in pages for event in page["events"]]
        return [json.loads(text) for text in texts if text.startswith("{")]

    def requests(self, function):
        return [line for line in self.lines(function) if line["message"] == "request"]

    def trouble(self, function):
        """What it has logged of failures, its own and those of others."""
        return [it for it in self.lines(function) if it["level"] in ("WARN", "ERROR") or it.get("outcome") == "failed"]

    def invoke(self, function):
        """Has a function work on its event in events/; gives its answer."""
        event = (ROOT / f"events/{function}.json").read_bytes()
        answer = self.aws("lambda").invoke(FunctionName=self.resources()[logical_id(function)], Payload=event)
        said = answer["Payload"].read()
        must("FunctionError" not in answer, f"{function}: {said}")
        return json.loads(said)
