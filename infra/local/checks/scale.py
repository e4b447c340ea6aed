"""Simulates three days of 10,000,000 devices, from the capacity that each operation is recorded to consume
(scale/operations.json, which a test compares with the code), the template's figures and AWS's documented limits.

Prints the walls: partitions over their limit, requests refused, jobs and queues later than their goals. Then each job's
time, the quotas to ask for, the hottest keys, and the cost by service. Exits with status 1 if there is a wall.

Needs only Python. `--self-test` checks the arithmetic by the examples in the code.
"""

import doctest
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).with_suffix("")))

import limits  # noqa: E402
import scenario  # noqa: E402
import simulation  # noqa: E402
import system  # noqa: E402

# What follows from each thing of a job, in the same workspace.
FOLLOWS = {
    scenario.LOCKS_BY_JOB: {
        "check-in-device: that delivers a command": scenario.AWAKE,
        "report-command: one": scenario.AWAKE,
    },
    scenario.INVITES: {"send-message: an e-mail": 1.0, "record-feedback: an e-mail": 1.0},
    "run-due: auto-deploy": {"send-message: a deployment": 1.0, "record-feedback: an e-mail": 1.0},
}
# Operations whose largest rate in one workspace is shown besides those of the goals.
SHOWN = [
    "create-user: one",
    "register-device: one",
    "update-user: another name",
    "check-in-device: the first of a day",
    "check-in-device: with usage",
    "check-in-device: with another app version",
    "check-in-device: that reports an installed configuration",
    "download-config: with a profile of 60 KB",
    "list-events: one",
    "list-devices: one",
]
# Things a second that are more than any goal.
MOST_RATE = 1e5
WEBHOOK = "deliver-webhook: an event with a webhook"


def at(minute):
    """Returns a minute as day and time.

    >>> at(1440 + 61)
    'Tue 01:01'
    """
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return f"{days[int(minute) // 1440 % 7]} {int(minute) // 60 % 24:02}:{int(minute) % 60:02}"


def duration(minutes):
    """Returns minutes as text.

    >>> duration(90), duration(3000)
    ('1 h 30 min', '50 h')
    """
    if minutes < 1:
        return "under 1 min"
    if minutes < 60:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes >= 600 else f"{minutes // 60:.0f} h {minutes % 60:.0f} min"


def number(value):
    """Returns a number with a sensible precision.

    >>> number(1234.5), number(0.123), number(12.34)
    ('1,234', '0.12', '12.3')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def causes(parts):
    """Returns the operations with most of a load."""
    total = sum(parts.values()) or 1
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(name for name, value in largest[:3] if value / total >= 0.15)


def parts_of(recorded, operation):
    """Returns the operations of a thing and of what follows from it, with how many of each there are. The workspace has
    a webhook for every event."""
    parts = {operation: 1.0, **FOLLOWS.get(operation, {})}
    return {**parts, WEBHOOK: sum(count * sum(recorded[name].events.values()) for name, count in parts.items())}


def loads_at(recorded, operation, rate):
    """Returns the units a second of each key of one workspace, at things a second, with what follows from them."""
    parts = parts_of(recorded, operation)
    loads = {}
    for name, count in parts.items():
        for load in recorded[name].loads:
            if system.scope(load.key) == "workspace":
                spread = system.shards(load.where, load.key, parts[WEBHOOK] * rate) * load.partitions
                for kind, units in (("writes", load.writes), ("reads", load.reads)):
                    if units:
                        place = (load.where, load.key, kind)
                        loads[place] = loads.get(place, 0.0) + units * count * rate / spread
    return loads


def limit_of(kind):
    return limits.PARTITION_WRITES if kind == "writes" else limits.PARTITION_READS


def ceilings(recorded, operation):
    """Returns the largest rates of an operation that the keys of one workspace allow, the smallest first."""
    rates = ((_ceiling(recorded, operation, place), place) for place in loads_at(recorded, operation, 1.0))
    return sorted((rate, place) for rate, place in rates if rate < MOST_RATE * 0.99)


def _ceiling(recorded, operation, place):
    low, high = 0.0, MOST_RATE
    for _ in range(30):
        rate = (low + high) / 2
        low, high = (rate, high) if loads_at(recorded, operation, rate)[place] <= limit_of(place[2]) else (low, rate)
    return low


def walls_of_goals(done):
    """Yields what allows less than the goals' rates, however many workers there were: keys, rows on which commits
    collide, and the queues behind."""
    recorded = done.recorded
    for goal, operation, things, minutes in scenario.GOALS:
        rate = things / (minutes * 60)
        at_goal = f"{number(rate)}/s: {things:,} in {duration(minutes)}"
        for (where, key, kind), units in sorted(loads_at(recorded, operation, rate).items()):
            if units > limit_of(kind):
                possible = rate * limit_of(kind) / units
                who = f"{goal}: {number(possible)}/s at most, so {duration(things / possible / 60)}"
                yield (f"{where} {key}", at_goal, f"{number(units)} {kind}/s", number(limit_of(kind)), who)
        for load in recorded[operation].loads:
            if load.where == "table" and load.writes and load.key in system.CONTENDED:
                commits = rate * done.commits_on(load, recorded[operation])
                share = simulation.collisions(commits, system.CONTENDED[load.key], load.reads > 0)
                if share > limits.MOST_COLLISIONS:
                    offered, limit = f"{share:.0%} of tries collide", f"{limits.MOST_COLLISIONS:.0%}"
                    yield (f"rows of {load.key}", at_goal, offered, limit, f"{goal}, side by side")
        yield from _queues_at(done, goal, operation, rate, at_goal)


def _queues_at(done, goal, operation, rate, at_goal):
    parts = parts_of(done.recorded, operation)
    events = parts[WEBHOOK] * rate
    shards = system.event_shards(events)
    pushed = sum(
        count * events_of
        for name, count in parts.items()
        for kind, events_of in done.recorded[name].events.items()
        if kind in done.template.events("notify-device")
    )
    mails = sum(count for name, count in parts.items() if name.startswith("send-message"))
    for what, offered, limit in (
        ("stream's shard of one event partition", events / shards, done.stream_rate()),
        ("queue of webhooks' events", events, done.webhook_rate()),
        ("queue of messages", mails * rate, done.mail_rate()),
        ("pushes", pushed * rate, done.push_rate()),
    ):
        if offered > limit:
            yield (what, at_goal, f"{number(offered)}/s", number(limit), goal)


def walls(done):
    """Yields the walls of the simulation: what, when, offered, limit, and who feels it."""
    for (where, key, kind), peak in sorted(done.keys.items()):
        if peak.minutes_over:
            yield (
                f"{where} {key}",
                f"{at(peak.minute)}, {duration(peak.minutes_over)}",
                f"{number(peak.value)} {kind}/s",
                number(peak.limit),
                causes(peak.parts),
            )
    for key, peak in sorted(done.collisions.items()):
        if peak.minutes_over:
            yield (
                f"rows of {key}",
                f"{at(peak.minute)}, {duration(peak.minutes_over)}",
                f"{peak.value:.0%} of tries collide",
                f"{peak.limit:.0%}",
                f"{number(peak.parts['commits a second'])} commits/s, each repeated until it wins",
            )
    for route, peak in sorted(done.refused.items()):
        if peak.minutes_over:
            yield (
                f"API {route}",
                f"{at(peak.minute)}, {duration(peak.minutes_over)}",
                f"{number(peak.value)} requests/s",
                number(peak.limit),
                f"{number(peak.beyond)} refused with 429",
            )
    for name, peak in [*done.quotas.items(), *done.of_workspace.items()]:
        if peak.minutes_over:
            when = f"{at(peak.minute)}, {duration(peak.minutes_over)}"
            yield (name, when, number(peak.value), number(peak.limit), "all")
    for (where, kind), peak in sorted(done.tables.items()):
        if peak.minutes_over:
            what = f"{where} in all" if where in ("table", "secrets") else f"index {where} in all"
            when = f"{at(peak.minute)}, {duration(peak.minutes_over)}"
            yield (what, when, f"{number(peak.value)} {kind}/s", number(peak.limit), "all")
    for what, peak, who in (
        ("stream's shard of one event partition", done.stream_wait, "pushes, messages and webhooks of the workspace"),
        ("queue of messages", done.mail_wait, "people who wait for their invitation, in every workspace"),
        ("pushes", done.push_wait, "phones that wait for a command, in every workspace"),
        ("queue of webhooks' events", done.hook_wait, "receivers of every workspace"),
    ):
        if peak.minutes_over:
            when = f"{at(peak.minute)}, {duration(peak.minutes_over)}"
            yield (what, when, f"waits {duration(peak.value)}", duration(peak.limit), who)
    for work in [*done.jobs, done.expiring, done.purge]:
        took = done.time_of(work)
        if took > work.goal:
            yield (work.name, at(work.start), f"takes {duration(took)}", duration(work.goal), work.workspace)


def table(rows, *heads):
    """Prints rows in columns."""
    rows = [heads, *rows]
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(heads))]
    for at_row, row in enumerate(rows):
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
        if at_row == 0:
            print("  " + "  ".join("-" * width for width in widths))
    print()


def cost(done):
    """Returns the cost by service in dollars."""
    used, price = done.used, limits.PRICES
    mails = done.mails_of_day.total()
    texts = mails * scenario.BY_TEXT
    requests, invocations = used["API Gateway request"], used["Lambda request"]
    log_bytes = invocations * limits.LOG_BYTES_OF_INVOCATION + requests * limits.LOG_BYTES_OF_REQUEST
    return {
        "DynamoDB writes": used["DynamoDB write unit"] * price["DynamoDB write unit"],
        "DynamoDB reads": used["DynamoDB read unit"] * price["DynamoDB read unit"],
        "Lambda": invocations * price["Lambda request"] + used["Lambda GB-second"] * price["Lambda GB-second"],
        "API Gateway": requests * price["API Gateway request"],
        "CloudWatch Logs": log_bytes / 1e9 * price["CloudWatch Logs GB"],
        "X-Ray": invocations * limits.TRACED * price["X-Ray trace"],
        "SNS topics and pushes": used["SNS publish"] * price["SNS publish"] + used["SNS push"] * price["SNS push"],
        "SQS": used["SQS request"] * price["SQS request"],
        "SES": (mails - texts) * price["SES e-mail"],
        "SNS texts": texts * price["SNS text"],
        # "Key management" of SNS: data keys are kept for 5 minutes; DynamoDB's two tables likewise.
        "KMS": 3 * 2 * scenario.DAYS * 86_400 / 300 * price["KMS request"],
    }


def quotas(done):
    """Yields the quotas with their defaults and peaks: of the account, and of the table and its busiest indexes."""
    for name, peak in done.quotas.items():
        if not name.startswith("DynamoDB"):
            yield name, limits.QUOTAS[name], peak
    for (where, kind), peak in sorted(done.tables.items(), key=lambda pair: -pair[1].value)[:6]:
        yield f"DynamoDB {where}, {kind} units/s", limits.TABLE_UNITS, peak


def report(done):
    """Prints the report, and returns the number of walls."""
    found = [*walls(done), *walls_of_goals(done)]
    print(f"{len(found)} walls" if found else "No walls")
    table(found, "where", "worst at, for how long", "offered", "limit", "who feels it, or by what")
    jobs = [*done.jobs, done.expiring, done.purge]
    print("Jobs")
    table(
        [
            (
                work.name,
                at(work.start),
                duration(done.time_of(work)),
                duration(work.goal),
                f"{work.operation.seconds * 1000:.0f} ms",
            )
            for work in jobs
        ],
        "job", "start", "time", "goal", "each thing",
    )  # fmt: skip
    print("Quotas, of which those that are exceeded by default must be raised")
    table(
        [
            (name, number(default), number(peak.limit), number(peak.value), at(peak.minute))
            for name, default, peak in quotas(done)
        ],
        "quota", "default", "assumed", "peak", "at",
    )  # fmt: skip
    print("Hottest keys")
    hottest = sorted(done.keys.items(), key=lambda pair: -pair[1].value / pair[1].limit)
    table(
        [
            (
                f"{where} {key}",
                kind,
                f"{peak.value / peak.limit:.0%}",
                number(peak.value),
                at(peak.minute),
                causes(peak.parts),
            )
            for (where, key, kind), peak in hottest[:30]
        ],
        "key", "units", "of the limit", "a second", "at", "by",
    )  # fmt: skip
    print("Largest rates in one workspace with a webhook, by the keys that limit them first")
    names = [*(goal[1] for goal in scenario.GOALS), *SHOWN]
    table(
        [
            (name if at_first else "", f"{number(rate)}/s", duration(1e6 / rate / 60), f"{where} {key} ({kind})")
            for name in names
            for at_first, (rate, (where, key, kind)) in zip((True, False, False), ceilings(done.recorded, name))
        ],
        "operation", "most", "1,000,000 take", "key",
    )  # fmt: skip
    costs = cost(done)
    print("Cost of the three days in US dollars, without storage and backups")
    table(
        [(service, number(dollars)) for service, dollars in sorted(costs.items(), key=lambda pair: -pair[1])]
        + [("sum", number(sum(costs.values())))],
        "service", "dollars",
    )  # fmt: skip
    return len(found)


def self_test():
    """Runs the examples in the code."""
    failed = sum(doctest.testmod(module)[0] for module in (sys.modules[__name__], simulation, system))
    sys.exit(1 if failed else 0)


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    sys.exit(1 if report(simulation.Simulation().run()) else 0)


main()
