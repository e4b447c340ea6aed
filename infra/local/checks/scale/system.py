"""What is simulated: the template's figures, the code's constants, and the recorded operations."""

import dataclasses
import json
import math
import pathlib
import re

import limits
import scenario

ROOT = pathlib.Path(__file__).parents[4]
RECORDED = pathlib.Path(__file__).with_name("operations.json")


def constant(path, name, default=None):
    """Returns a number that a Rust file declares as a constant, or a number of seconds; the default if it does not."""
    text = (ROOT / path).read_text() if (ROOT / path).exists() else ""
    match = re.search(rf"const {name}: \w+ = (?:Duration::seconds\()?([\d_]+)", text)
    if match is None and default is None:
        raise SystemExit(f"{path} has no constant {name}")
    return int(match[1].replace("_", "")) if match else default


class Template:
    """The figures of template.yaml, which is read as text: the standard library has no YAML."""

    def __init__(self, text, parameters):
        sections = dict(re.findall(r"^(\w+):[^\n]*\n((?:(?:[ #][^\n]*)?\n)*)", text, re.MULTILINE))
        self.resources = self._blocks(sections["Resources"])
        self.defaults = self._blocks(sections["Parameters"])
        self.globals = sections["Globals"]
        self.parameters = parameters
        self.functions = {
            match[1]: name for name, text in self.resources.items() if (match := re.search(r"Handler: ([\w-]+)", text))
        }

    @staticmethod
    def _blocks(text):
        parts = re.split(r"^  (\w+):\n", text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2]))

    def parameter(self, name, default=None):
        """Returns a parameter's number: the scenario's, else the template's default."""
        if name not in self.defaults:
            return default
        return float(self.parameters.get(name, re.search(r"Default: (\S+)", self.defaults[name])[1]))

    def number(self, text, name, default=None):
        """Returns the number of a property in a block of text, which may refer to a parameter.

        >>> template("Parameters:\\n  Most:\\n    Default: 7\\n").number("BatchSize: !Ref Most", "BatchSize")
        7.0
        """
        match = re.search(rf"\b{name}: (?:!Ref (\w+)|([\d.]+))", text)
        if match is None:
            return default
        return self.parameter(match[1]) if match[1] else float(match[2])

    def function(self, operation, name):
        """Returns the number of a function's property, or that of all functions."""
        return self.number(self.resources[self.functions[operation]], name, self.number(self.globals, name))

    def source(self, operation, name, default=None):
        """Returns the number of a property of the function's queue or stream."""
        function = self.functions[operation]
        for text in self.resources.values():
            if "EventSourceMapping" in text and re.search(rf"FunctionName: !Ref {function}\b", text):
                return self.number(text, name, default)
        return default

    def routes(self, operation):
        """Returns the routes of an operation."""
        text = self.resources[self.functions[operation]]
        return re.findall(r"\b(?:ANY|GET|POST|PUT|PATCH|DELETE) /[^\s\",\]]*", text.split("Properties:")[0])

    def throttle(self, route):
        """Returns a route's requests a second, and its burst. Routes without settings of their own have the default's,
        each for itself ("Throttle requests to your HTTP APIs for better throughput in API Gateway")."""
        api = self.resources["Api"]
        own = re.search(rf"^        {re.escape(route)}:(.*\n(?:          .*\n)*)", api, re.MULTILINE)
        text = own or re.search(r"^      DefaultRouteSettings:(.*\n(?:        .*\n)*)", api, re.MULTILINE)
        return self.number(text[1], "ThrottlingRateLimit"), self.number(text[1], "ThrottlingBurstLimit")

    def events(self, operation):
        """Returns the types of events that reach an operation; None for all."""
        function = self.functions[operation]
        text = self.resources[function]
        queue = next(
            (
                re.search(r"EventSourceArn: !GetAtt (\w+)\.Arn", other)[1]
                for other in self.resources.values()
                if re.search(rf"FunctionName: !Ref {function}\b", other) and "EventSourceMapping" in other
            ),
            None,
        )
        for other in self.resources.values():
            if queue and "SNS::Subscription" in other and f"Endpoint: !GetAtt {queue}.Arn" in other:
                text = other
        match = re.search(r"FilterPolicy:\s*\{?\s*event_type:\s*(\[[^]]*\]|(?:\n\s+- \S+)+)", text)
        return set(re.findall(r"[\w]+\.[\w]+", match[1])) if match else None


def template(text=None):
    """Reads the template; the one of the project if no text is given.

    >>> template().throttle("POST /devices")[0] > 0
    True
    >>> "user.invited" in template().events("send-message"), template().events("deliver-webhook")
    (True, None)
    """
    if text is not None:
        text = text + "Globals:\n  Function:\n" + ("" if "Resources:" in text else "Resources:\n")
    return Template(text or (ROOT / "template.yaml").read_text(), scenario.PARAMETERS)


@dataclasses.dataclass(frozen=True)
class Load:
    """Units by which one thing loads a key's partitions."""

    where: str
    key: str
    reads: float
    writes: float
    # Over how many of the pattern's partitions the units are spread.
    partitions: int


@dataclasses.dataclass(frozen=True)
class Operation:
    """A recorded operation, for one thing."""

    name: str
    function: str
    seconds: float
    calls: dict
    records: float
    events: dict
    loads: tuple


def operations():
    """Reads the recorded operations. What a scheduled run does without things is no part of a thing's cost."""
    recorded = json.loads(RECORDED.read_text())
    return {name: _operation(name, text, recorded) for name, text in recorded.items()}


def _operation(name, text, recorded):
    things = text["things"]
    idle = recorded.get(f"{text['operation']}: nothing", {"calls": {}})["calls"] if ": nothing" not in name else {}
    calls = {action: max(0, count - idle.get(action, 0)) / things for action, count in text["calls"].items()}
    unknown = set(calls) - set(limits.LATENCY)
    if unknown:
        raise SystemExit(f"{name}: no latency is known for {', '.join(sorted(unknown))}")
    return Operation(
        name=name,
        function=text["operation"],
        seconds=sum(count * limits.LATENCY[action] for action, count in calls.items()),
        calls=calls,
        records=text["records"] / things,
        events={kind: count / things for kind, count in text["events"].items()},
        loads=tuple(_load(load, things) for load in text["loads"]),
    )


def _load(load, things):
    # Of many things, it is not known how many partitions each has.
    partitions = load["partitions"] if things == 1 else 1
    return Load(load["where"], load["key"], load["reads"] / things, load["writes"] / things, partitions)


# ---- Keys ----

# Number of values of {shard} in a key, by a part of the key.
SHARDS = {
    "DUE#": constant("shared/aws/src/store/due.rs", "DUE_SHARDS"),
    "PURGE#": constant("shared/aws/src/store/due.rs", "DUE_SHARDS"),
    "CALLS#": constant("shared/aws/src/store/due.rs", "DUE_SHARDS"),
    "QUOTA#": constant("shared/domain/src/models/message_limits.rs", "QUOTA_SHARDS"),
    "USAGE#": constant("shared/aws/src/store/usage.rs", "PARTITIONS"),
    "DELIVERIES#": constant("shared/aws/src/store/webhooks.rs", "DELIVERY_SHARDS"),
    "WORD#": constant("shared/aws/src/store/search.rs", "SHARDS") * scenario.LETTERS,
    "COUNTS#": constant("shared/aws/src/store/counts.rs", "COUNT_SHARDS"),
    "FACET#": constant("shared/aws/src/store/derived.rs", "SHARDS"),
    "ORDER#": constant("shared/aws/src/store/derived.rs", "SHARDS"),
    "#SEEN#": constant("shared/aws/src/store/last_logins.rs", "SHARDS", 1),
}
# Keys of things of which a workspace has one that much traffic goes to.
BUSY_THINGS = ("JOB#", "DELIVERIES#", "WEBHOOKS#", "KEY#", "SOURCE#", "PROFILE#", "PROFILENAME#", "CALLED#")
# Parts of keys that do not tell things apart.
OF_MANY = {"{workspace}", "{day}", "{month}", "{shard}", "{letter}", "{value}"}
# Rows of a key that concurrent commits write or check, by the key: two commits on one row at a time collide.
CONTENDED = {
    "USAGE#{workspace}#{shard}": constant("shared/domain/src/models/usage.rs", "TOTAL_SHARDS"),
    "QUOTA#{workspace}#email#{shard}": SHARDS["QUOTA#"],
    "QUOTA#{workspace}#sms#{shard}": SHARDS["QUOTA#"],
    "COUNTS#{workspace}#{shard}": SHARDS["COUNTS#"],
    "WORKSPACE#{workspace}": 1,
}
# A workspace's events of a day, and of a type, begin in one partition, which is split as it grows: into a power of two,
# so that this many events a second, or fewer, go to each, up to the most that the operator has set.
EVENTS_PER_SHARD = constant("shared/domain/src/rules/event_shards.rs", "BUSY")
MOST_EVENT_SHARDS = int(template().parameter("EventShards", 1))


def event_shards(rate, most=None):
    """Returns the number of partitions of a workspace's events, at a number of events a second.

    >>> event_shards(49, 64), event_shards(175, 64), event_shards(1e6, 64), event_shards(175, 1)
    (1, 4, 64, 1)
    """
    needed = 2 ** max(0, math.ceil(math.log2(max(rate, 1) / EVENTS_PER_SHARD)))
    return min(needed, most or MOST_EVENT_SHARDS)


def shards(where, key, events):
    """Returns the number of partition keys over which the pattern's load is spread within its workspace, at a number of
    events a second.

    >>> shards("due", "DUE#{shard}", 0) > 1, shards("table", "WEBHOOKS#{workspace}", 0)
    (True, 1)
    """
    if key == "EVENT#{workspace}#{day}" or where == "type-events":
        return event_shards(events)
    if "{shard}" not in key:
        return 1
    for part, count in SHARDS.items():
        if part in key:
            return count
    raise SystemExit(f"the number of shards of {key} is not known: add it to SHARDS")


def scope(key):
    """Tells who shares a key's partitions: "all", a "workspace", or a "thing", whose keys are too many to be hot.

    >>> [scope(key) for key in ("DUE#{shard}", "EVENTS#{workspace}", "USER#{workspace}#{user}", "KEY#{short}")]
    ['all', 'workspace', 'thing', 'workspace']
    """
    named = set(re.findall(r"\{[^}]*\}", key))
    if key.startswith(BUSY_THINGS):
        return "workspace"
    if named - OF_MANY:
        return "thing"
    return "workspace" if "{workspace}" in named else "all"
