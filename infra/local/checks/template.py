"""Checks template.yaml as AWS would process it: resolves includes and the SAM transform offline, and checks quotas of
CloudFormation and IAM, circular dependencies, and every policy.

Needs cfn-lint and aws-sam-translator. Runs in any directory; if there are errors, prints them and exits with status 1.
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
# "CloudFormation quotas". The quota of resources is 500; the difference is a reserve.
MOST_RESOURCES = 450
MOST_BYTES = 1_000_000
MOST_PARAMETERS = 200
# Number of further operations, each like BlockDevice, that must fit into these limits.
MORE_OPERATIONS = 45
# "IAM and AWS STS quotas", in characters without white space.
MOST_OF_A_MANAGED_POLICY = 6_144
MOST_OF_A_ROLES_OWN_POLICIES = 10_240
# "Amazon API Gateway quotas", for all APIs of an account in a region: calls a second, and the burst.
MOST_OF_A_THROTTLE = {"ThrottlingRateLimit": 10_000, "ThrottlingBurstLimit": 5_000}
# The permissions boundary of all functions. It grants nothing by itself, so its wildcards are allowed.
BOUNDARY = "FunctionBoundary"
# AWS managed policies that SAM attaches to every role, and the boundary restricts.
ADDED_BY_SAM = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
# The only actions whose resources may contain a wildcard, each with the reason.
WILDCARDS = {
    **{
        ("SendMessageRole", f"ses:{action}"): "SES checks further identities; a condition restricts the sender's address"
        for action in ("SendEmail", "SendRawEmail")
    },
    ("ApiRole", "lambda:InvokeFunction"): "all functions with the stack's name as prefix; the API's routes select one",
    **{
        (role, "dynamodb:ListStreams"): "a stream's label is its creation time"
        for role in ("PublishEventsRole", "DeriveRowsRole")
    },
    **{
        (role, f"sns:{action}"): "SNS generates the names of a platform application's endpoints"
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
# The only actions that may be allowed with NotResource, each with the reason.
EXCLUSIONS = {
    ("SendMessageRole", "sns:Publish"): "IAM has no resource type for phone numbers; topics and endpoints are excluded",
}


def read():
    """Returns the template with its includes, and with placeholders for the uploaded artifact."""
    template, matches = decode(str(TEMPLATE))
    if matches:
        sys.exit("\n".join(map(str, matches)))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    return included(template)


def included(node):
    """Returns the node with each `AWS::Include` replaced by the contents of the local file."""
    if isinstance(node, list):
        return [included(item) for item in node]
    if not isinstance(node, dict):
        return node
    transform = node.get("Fn::Transform")
    if transform and transform["Name"] == "AWS::Include" and len(node) == 1:
        return json.loads((TEMPLATE.parent / transform["Parameters"]["Location"]).read_text())
    return {name: included(value) for name, value in node.items()}


def transformed(template):
    """Returns the template after the SAM transform, without calling AWS."""
    return Translator({}, Parser()).translate(copy.deepcopy(template), {})


def with_more(template, how_many):
    """Returns the template with that number of further operations."""
    template = copy.deepcopy(template)
    for number in range(how_many):
        more = copy.deepcopy(template["Resources"]["BlockDevice"])
        more["Properties"]["FunctionName"]["Fn::Sub"] += f"-{number}"
        template["Resources"][f"BlockDevice{number}"] = more
    return template


def references(node):
    """Yields every name that `node` refers to."""
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
    """Yields an error if resources depend on each other in a circle."""
    waits = {name: set(references(resource)) & set(resources) for name, resource in resources.items()}
    while free := {name for name, of in waits.items() if not of & set(waits)}:
        waits = {name: of for name, of in waits.items() if name not in free}
    if waits:
        yield f"circular dependency among {', '.join(sorted(waits))}"


def size(node):
    return len(json.dumps(node, separators=(",", ":")))


def beyond_limits(template):
    """Yields the limits that the transformed template exceeds."""
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
    yield from (f"{count} {what}, more than the limit of {most}" for what, count, most in limits if count > most)


def statements(node):
    """Yields every policy statement in `node`, including those inside `Fn::If`."""
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
    """Yields the errors in the policies of one resource."""
    for statement in statements(resource.get("Properties", {})):
        if "NotAction" in statement:
            yield f"{name}: a statement uses NotAction"
        for action in as_list(statement.get("Action", [])):
            if "*" in action:
                yield f"{name}: wildcard action {action}"
            if name == BOUNDARY:
                continue
            if "NotResource" in statement and (name, action) not in EXCLUSIONS:
                yield f"{name}: {action} is allowed with NotResource, without a reason in {__file__}"
            wild = "*" in json.dumps(statement.get("Resource", []))
            if wild and (name, action) not in WILDCARDS:
                yield f"{name}: {action} has a wildcard resource without a reason in {__file__}"


def unbounded(resources):
    """Yields an error for each function whose role lacks the boundary or has unexpected AWS managed policies."""
    for name, resource in resources.items():
        if resource["Type"] != "AWS::Lambda::Function":
            continue
        role = resources[resource["Properties"]["Role"]["Fn::GetAtt"][0]]["Properties"]
        added = {arn.rsplit("/")[-1] for arn in role["ManagedPolicyArns"]}
        if role.get("PermissionsBoundary") != {"Ref": BOUNDARY} or not added <= ADDED_BY_SAM:
            yield f"{name}: its role lacks {BOUNDARY}, or has other AWS managed policies: {sorted(added)}"


def throttles(template):
    """Yields an error for each limit of a route that is no parameter, or whose default is beyond the quota."""
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::ApiGatewayV2::Stage":
            continue
        stage = resource["Properties"]
        for route, settings in {"default": stage["DefaultRouteSettings"], **stage["RouteSettings"]}.items():
            for limit, most in MOST_OF_A_THROTTLE.items():
                parameter = next(references(settings.get(limit)), None)
                default = template["Parameters"].get(parameter, {}).get("Default")
                if default is None or default > most:
                    yield f"{name}: {limit} of {route} is no parameter with a default of at most {most}"


def main():
    written = read()
    today, later = transformed(written), transformed(with_more(written, MORE_OPERATIONS))
    resources = today["Resources"]
    wrong = [fault for name, resource in resources.items() for fault in faults(name, resource)]
    wrong += [*circles(resources), *unbounded(resources), *throttles(today), *beyond_limits(today)]
    wrong += [f"with {MORE_OPERATIONS} more operations: {beyond}" for beyond in beyond_limits(later)]
    print(f"template.yaml: {len(resources)} resources; {len(later['Resources'])} with {MORE_OPERATIONS} more operations")
    sys.exit("\n".join(wrong) or 0)


main()
