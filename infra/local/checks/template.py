"""Checks template.yaml as AWS would see it: includes and transforms it offline, counts its resources, holds it against
CloudFormation's and IAM's limits, looks for circles, and reads every policy.

Needs cfn-lint and aws-sam-translator. Run from anywhere; exits 1 with what is wrong.
"""

import copy
import json
import os
import pathlib
import re
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")

from cfnlint.decode import decode  # noqa: E402
from samtranslator.parser.parser import Parser  # noqa: E402
from samtranslator.translator.translator import Translator  # noqa: E402

TEMPLATE = pathlib.Path(__file__).parents[3] / "template.yaml"
# "CloudFormation quotas". The resources are 500; the rest is room for what nobody thinks of yet.
MOST_RESOURCES = 450
MOST_BYTES = 1_000_000
MOST_PARAMETERS = 200
# How many more operations, of which each is as BlockDevice, must fit into that.
MORE_OPERATIONS = 45
# "IAM and AWS STS quotas", without white space.
MOST_OF_A_MANAGED_POLICY = 6_144
MOST_OF_A_ROLES_OWN_POLICIES = 10_240
# The most that any function may do. It gives nothing by itself, so what it holds by wildcard nobody has by that.
BOUNDARY = "FunctionBoundary"
# What SAM adds to every role, which the boundary cuts.
ADDED_BY_SAM = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
# The only places where a resource may hold a wildcard, each with the reason.
WILDCARDS = {
    **{
        ("SendMessageRole", f"ses:{action}"): "which identities SES asks for is its own choice; the sender's address counts"
        for action in ("SendEmail", "SendRawEmail")
    },
    ("ApiRole", "lambda:InvokeFunction"): "all functions of the stack, by its name; which, the API's routes say",
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


def read():
    """The template, with what it includes, and with an artifact that is said to be uploaded."""
    template, matches = decode(str(TEMPLATE))
    if matches:
        sys.exit("\n".join(map(str, matches)))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    return included(template)


def included(node):
    """The node with the contents of local files instead of `AWS::Include`."""
    if isinstance(node, list):
        return [included(item) for item in node]
    if not isinstance(node, dict):
        return node
    transform = node.get("Fn::Transform")
    if transform and transform["Name"] == "AWS::Include" and len(node) == 1:
        return json.loads((TEMPLATE.parent / transform["Parameters"]["Location"]).read_text())
    return {name: included(value) for name, value in node.items()}


def transformed(template):
    """The template after the SAM transform, without asking AWS for anything."""
    return Translator({}, Parser()).translate(copy.deepcopy(template), {})


def with_more(template, how_many):
    """The template with so many more operations."""
    template = copy.deepcopy(template)
    for number in range(how_many):
        more = copy.deepcopy(template["Resources"]["BlockDevice"])
        more["Properties"]["FunctionName"]["Fn::Sub"] += f"-{number}"
        template["Resources"][f"BlockDevice{number}"] = more
    return template


def references(node):
    """Every name that is referred to below `node`."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("Ref", "DependsOn"):
                yield from as_list(value)
            elif name == "Fn::GetAtt":
                yield value.split(".")[0] if isinstance(value, str) else value[0]
            elif name == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                yield from re.findall(r"\$\{([A-Za-z0-9]+)", text)
                yield from references(value)
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def circles(resources):
    """What can never be made, since each waits for the other."""
    waits = {name: set(references(resource)) & set(resources) for name, resource in resources.items()}
    while free := {name for name, of in waits.items() if not of & set(waits)}:
        waits = {name: of for name, of in waits.items() if name not in free}
    if waits:
        yield f"a circle among {', '.join(sorted(waits))}"


def size(node):
    return len(json.dumps(node, separators=(",", ":")))


def beyond_limits(template):
    """Which limits the transformed template is over."""
    resources = template["Resources"]
    limits = [
        ("resources", len(resources), MOST_RESOURCES),
        ("bytes", size(template), MOST_BYTES),
        ("parameters", len(template["Parameters"]), MOST_PARAMETERS),
    ]
    for name, resource in resources.items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            limits.append((f"characters of {name}", size(properties["PolicyDocument"]), MOST_OF_A_MANAGED_POLICY))
        if resource["Type"] == "AWS::IAM::Role":
            own = sum(size(policy["PolicyDocument"]) for policy in properties.get("Policies", []))
            limits.append((f"characters of {name}'s policies", own, MOST_OF_A_ROLES_OWN_POLICIES))
    yield from (f"{count} {what}, of at most {most}" for what, count, most in limits if count > most)


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
            if name == BOUNDARY:
                continue
            if "NotResource" in statement and (name, action) not in EXCLUSIONS:
                yield f"{name}: {action} is allowed by exclusion, which is not explained in {__file__}"
            wild = "*" in json.dumps(statement.get("Resource", []))
            if wild and (name, action) not in WILDCARDS:
                yield f"{name}: {action} has a wildcard resource that is not explained in {__file__}"


def unbounded(resources):
    """The functions whose roles hold more than is written in the template."""
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Lambda::Function":
            continue
        role = resources[resource["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        added = {arn.rsplit("/")[-1] for arn in role["ManagedPolicyArns"]}
        if role.get("PermissionsBoundary") != {"Ref": BOUNDARY} or not added <= ADDED_BY_SAM:
            yield f"{name}: its role is not within {BOUNDARY}, or holds more of AWS's own policies: {sorted(added)}"


def main():
    written = read()
    today, later = transformed(written), transformed(with_more(written, MORE_OPERATIONS))
    resources = today["Resources"]
    wrong = [fault for name, resource in resources.items() for fault in faults(name, resource)]
    wrong += [*circles(resources), *unbounded(resources), *beyond_limits(today)]
    wrong += [f"with {MORE_OPERATIONS} more operations: {beyond}" for beyond in beyond_limits(later)]
    print(f"template.yaml: {len(resources)} resources; {len(later['Resources'])} with {MORE_OPERATIONS} more operations")
    sys.exit("\n".join(wrong) or 0)


main()
