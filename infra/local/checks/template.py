"""Checks template.yaml as AWS would see it: transforms it offline, counts its resources, and reads every policy.

Needs cfn-lint and aws-sam-translator. Run from anywhere; exits 1 with what is wrong.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

from cfnlint.decode import decode  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402

TEMPLATE = pathlib.Path(__file__).parents[3] / "template.yaml"
# CloudFormation allows 500 resources; the rest is room for what is still to come.
MOST_RESOURCES = 420
# The only places where a resource may hold a wildcard, each with the reason.
WILDCARDS = {
    **{
        ("SendMessageRole", f"ses:{action}"): "which identities SES asks for is its own choice; the sender's address counts"
        for action in ("SendEmail", "SendRawEmail")
    },
    ("LogsAndTraces", "xray:PutTraceSegments"): "X-Ray knows no resource for it",
    ("LogsAndTraces", "xray:PutTelemetryRecords"): "X-Ray knows no resource for it",
    ("PublishEventsRole", "dynamodb:ListStreams"): "a stream's label is the time of its making",
    **{
        (role, f"sns:{action}"): "SNS makes up the names of a platform application's endpoints"
        for role in ("NotifyDeviceRole", "RecordFeedbackRole", "RunDueRole", "PurgeDeletedRole")
        for action in (
            "CreatePlatformEndpoint",
            "GetEndpointAttributes",
            "SetEndpointAttributes",
            "DeleteEndpoint",
            "Publish",
        )
    },
}
# The only statements by exclusion, each with the reason.
EXCLUSIONS = {
    ("SendMessageRole", "sns:Publish"): "IAM knows no resource for a phone number; topics and endpoints are excluded",
}


def transformed():
    """The template after the SAM transform, without asking AWS for anything."""
    template, matches = decode(str(TEMPLATE))
    if matches:
        sys.exit("\n".join(map(str, matches)))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    return Translator({}, Parser()).translate(template, {})


def statements(node):
    """Every policy statement below `node`, those inside `Fn::If` too."""
    if isinstance(node, dict):
        if "Effect" in node and ("Action" in node or "NotAction" in node):
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def as_list(value):
    return value if isinstance(value, list) else [value]


def faults(name, resource):
    """What is wrong with the policies of one resource."""
    for statement in statements(resource.get("Properties", {})):
        if "NotAction" in statement:
            yield f"{name}: a statement by exclusion of actions"
        for action in as_list(statement.get("Action", [])):
            if "*" in action:
                yield f"{name}: wildcard action {action}"
            if "NotResource" in statement and (name, action) not in EXCLUSIONS:
                yield f"{name}: {action} is allowed by exclusion, which is not explained in {__file__}"
            wild = "*" in json.dumps(statement.get("Resource", []))
            if wild and (name, action) not in WILDCARDS:
                yield f"{name}: {action} has a wildcard resource that is not explained in {__file__}"


def main():
    resources = transformed()["Resources"]
    wrong = [fault for name, resource in resources.items() for fault in faults(name, resource)]
    if len(resources) > MOST_RESOURCES:
        wrong.append(f"{len(resources)} resources, of at most {MOST_RESOURCES}")
    print(f"template.yaml: {len(resources)} resources of at most {MOST_RESOURCES}")
    sys.exit("\n".join(wrong) or 0)


main()
