"""Steps through the scenario minute by minute, and adds up what each key, route, queue and service is asked for."""

import collections
import dataclasses
import math

import limits
import scenario
import system
from scenario import DAY, DAYS

MINUTES = DAYS * DAY
# After which unfinished work is given up.
MOST_MINUTES = 30 * DAY
# Of `run-due` and `purge-deleted`: seconds before the timeout at which the last step starts.
RESERVE = system.constant("functions/src/triggers/run_due.rs", "RESERVE", 10)
PURGE_RESERVE = system.constant("functions/src/triggers/purge_deleted.rs", "RESERVE", 30)
# Operations of which many things are done in one run.
IN_JOBS = {operation for _, _, operation, *_ in scenario.JOBS} | {operation for _, operation, *_ in scenario.GOALS}
# The function that works on ranges of jobs from a queue, besides its schedule.
WORKER = "run-due"
# Pages of a source's rows that one run of it works on side by side.
PAGES_AT_ONCE = system.constant("functions/src/sources/sync.rs", "PAGES_AT_ONCE")
# Shards on which a purge works side by side.
PURGES_AT_ONCE = system.constant("functions/src/triggers/purge_deleted.rs", "AT_ONCE")


@dataclasses.dataclass
class Peak:
    """The largest value over time, when it was, and how long the limit was exceeded."""

    limit: float
    value: float = 0.0
    minute: int = 0
    minutes_over: int = 0
    beyond: float = 0.0
    parts: dict = dataclasses.field(default_factory=dict)

    def note(self, minute, value, parts=None):
        """Notes the value of a minute."""
        if value > self.limit:
            self.minutes_over += 1
            self.beyond += (value - self.limit) * 60
        if value > self.value:
            self.value, self.minute = value, minute
            self.parts = dict(parts or {})


@dataclasses.dataclass
class Work:
    """Things that wait for a worker."""

    name: str
    workspace: str
    operation: system.Operation
    left: float
    start: int
    goal: int
    last_turn: int = -1
    end: float = None


class Queue:
    """A first-in, first-out queue: what comes, what leaves, and how long the last one that left had waited."""

    def __init__(self):
        self.waiting = 0.0
        self.oldest = collections.deque()

    def step(self, minute, arrived, most):
        """Adds what arrived in a minute, removes up to `most`, and returns how much left and the minutes it waited.

        >>> queue = Queue()
        >>> [queue.step(minute, 10, 5) for minute in range(3)]
        [(5, 0), (5, 1), (5, 1)]
        """
        if arrived:
            self.oldest.append([minute, arrived])
        self.waiting += arrived
        left = taken = min(self.waiting, most)
        self.waiting -= taken
        waited = 0
        while left > 1e-9 and self.oldest:
            first = self.oldest[0]
            part = min(first[1], left)
            waited = minute - first[0]
            first[1] -= part
            left -= part
            if first[1] <= 1e-9:
                self.oldest.popleft()
        if self.oldest and self.waiting > 1:
            waited = max(waited, minute - self.oldest[0][0])
        return taken, waited


def collisions(rate, rows, reads):
    """Returns the share of commits that collide with another on the same row, if they come at random. A commit whose
    row is read before collides with all that end in between.

    >>> round(collisions(1_000, 64, True), 2), round(collisions(1, 64, True), 2)
    (0.32, 0.0)
    """
    return 1 - math.exp(-rate / rows * (limits.SECONDS_READ_TO_COMMIT if reads else limits.SECONDS_OF_COMMIT))


def local_hour(minute, offset):
    """Returns the local hour of the day.

    >>> local_hour(0, -5), local_hour(60, 1)
    (19, 2)
    """
    return (minute // 60 + offset) % 24


def is_working_time(minute, offset):
    return 8 <= local_hour(minute, offset) < 18


class Flow:
    """Rates of operations in one minute: per second, the mean and the busiest second, in the large workspace and in all
    others together."""

    def __init__(self, recorded):
        self.recorded = recorded
        self.large = collections.Counter()
        self.large_peak = collections.Counter()
        self.others = collections.Counter()
        self.others_peak = collections.Counter()

    def add(self, name, large=0.0, others=0.0, peak=1.0):
        """Adds to an operation's rate."""
        if name not in self.recorded:
            raise SystemExit(f"{name} is not recorded")
        if large:
            self.large[name] += large
            self.large_peak[name] += large * peak
        if others:
            self.others[name] += others
            self.others_peak[name] += others * peak


class Sums:
    """What one minute asks for, in its busiest second: reads, writes and their causes by key, units by table or index,
    commits by contended row, requests, and concurrent invocations."""

    def __init__(self):
        self.keys = collections.defaultdict(lambda: [0.0, 0.0, collections.Counter()])
        self.tables = collections.Counter()
        self.contended = collections.Counter()
        self.requests = 0.0
        self.concurrent = 0.0


class Simulation:
    """The state of the simulation, and its results."""

    def __init__(self):
        self.recorded = system.operations()
        self.template = system.template()
        self.cadence = self.template.parameter("CheckInMinutes", scenario.CADENCE)
        self.keys = {}
        self.tables = {}
        self.routes = {}
        self.quotas = {name: Peak(scenario.RAISED.get(name, default)) for name, default in limits.QUOTAS.items()}
        self.collisions = {}
        self.mail, self.hooks, self.pushes = Queue(), Queue(), Queue()
        self.mail_wait, self.hook_wait = Peak(scenario.MAIL_GOAL), Peak(scenario.EVENT_GOAL)
        self.push_wait = Peak(scenario.EVENT_GOAL)
        self.stream_wait = Peak(scenario.EVENT_GOAL)
        self.stream_queue = Queue()
        self.mails_of_day = collections.Counter()
        self.of_workspace = {
            "e-mails/day of a workspace": Peak(self.template.parameter("EmailsPerDay")),
            "texts/day of a workspace": Peak(self.template.parameter("TextsPerDay")),
        }
        self.invited = 0.0
        self.pushed = 0.0
        self.jobs = [
            Work(name, workspace, self.recorded[operation], things, start, goal)
            for name, workspace, operation, things, start, goal in scenario.JOBS
        ]
        self.expiring = Work(
            f"expiry of {scenario.EXPIRING:,} invitations",
            "largest",
            self.recorded["run-due: an expired invitation"],
            scenario.EXPIRING,
            scenario.EXPIRING_AT,
            scenario.EXPIRING_GOAL,
        )
        self.purge = Work(
            f"purge of {scenario.PURGE:,} phones",
            "largest",
            self.recorded["purge-deleted: a device"],
            scenario.PURGE,
            scenario.PURGE_AT,
            scenario.PURGE_GOAL,
        )
        self.used = collections.Counter()
        self.refused = {}

    # ---- Phones ----

    def phones(self, minute, flow):
        """Check-ins that phones make by themselves, and those of people who open the app."""
        groups = [("large", scenario.LARGEST, scenario.ZONES_OF_LARGEST)]
        groups.append(("others", scenario.DEVICES - scenario.LARGEST, scenario.ZONES_OF_OTHERS))
        for group, phones, zones in groups:
            background = phones / (self.cadence * 60)
            first = self._first_of_day(minute, phones)
            flow.add("check-in-device: the first of a day", **{group: first}, peak=scenario.PEAK_OF_PHONES)
            usage = self._usage(minute, phones, zones)
            flow.add("check-in-device: with usage", **{group: usage}, peak=scenario.PEAK_OF_PHONES)
            version = self._new_versions(minute, phones, zones)
            flow.add("check-in-device: with another app version", **{group: version}, peak=scenario.PEAK_OF_PHONES)
            rest = max(0.0, background - first - usage - version)
            # A check-in a cadence after the last one moves the user's last seen as well.
            flow.add("check-in-device: with the user's last seen", **{group: rest}, peak=scenario.PEAK_OF_PHONES)
            opened = self._opened(minute, phones, zones)
            flow.add("check-in-device: plain", **{group: opened}, peak=scenario.PEAK_OF_PEOPLE)

    def _first_of_day(self, minute, phones):
        """The first check-ins of a day: all of them in a cadence from midnight UTC on, unless the days of phones begin
        at different times, which the shards of the index of logins go with."""
        seen = [load.key for load in self.recorded["check-in-device: the first of a day"].loads if load.where == "seen"]
        if seen and all("{shard}" in key for key in seen):
            return phones / 86_400
        return phones / (self.cadence * 60) if minute % DAY < self.cadence else 0.0

    def _usage(self, minute, phones, zones):
        """The check-ins with usage: in a cadence from the zone's midnight on."""
        reporting = (
            share
            for offset, share in zones.items()
            if local_hour(minute, offset) == scenario.USAGE_HOUR and minute % 60 < self.cadence
        )
        return sum(reporting) * phones / (min(self.cadence, 60) * 60)

    def _new_versions(self, minute, phones, zones):
        if minute >= scenario.ROLLOUT_MINUTES:
            return 0.0
        per_day = phones * DAY / scenario.ROLLOUT_MINUTES
        rate = 0.0
        for offset, share in zones.items():
            at_night = 1 <= local_hour(minute, offset) < 7
            part, hours = (scenario.ROLLOUT_AT_NIGHT, 6) if at_night else (1 - scenario.ROLLOUT_AT_NIGHT, 18)
            rate += per_day * share * part / hours / 3600
        return rate

    def _opened(self, minute, phones, zones):
        rate = 0.0
        for offset, share in zones.items():
            hour, of_zone = local_hour(minute, offset), phones * share
            if hour == scenario.MONDAY_WAVE_HOUR and 0 <= minute + offset * 60 < DAY:
                in_start = (minute + offset * 60) % 60 < 5
                part, minutes = (scenario.MONDAY_WAVE_START, 5) if in_start else (1 - scenario.MONDAY_WAVE_START, 55)
                rate += of_zone * scenario.MONDAY_WAVE * part / minutes / 60
            else:
                rate += of_zone * scenario.OPENS.get(hour, 0.0) / 3600
        return rate

    # ---- Admins ----

    def admins(self, minute, flow):
        """Single changes by admins, consoles, and programs that page through lists."""
        zones = {"large": (scenario.LARGEST, scenario.ZONES_OF_LARGEST)}
        zones["others"] = (scenario.DEVICES - scenario.LARGEST, scenario.ZONES_OF_OTHERS)
        for group, (users, of) in zones.items():
            at_work = sum(share for offset, share in of.items() if is_working_time(minute, offset))
            each = users * at_work / (10 * 3600)
            for name, per_day in [
                ("update-user: another name", scenario.CHANGES_OF_USERS),
                ("update-device: one", scenario.CHANGES_OF_DEVICES),
                ("block-device: one", scenario.BLOCKS),
                ("lock-device: one", scenario.LOCKS),
                ("check-in-device: that delivers a command", scenario.LOCKS),
                ("report-command: one", scenario.LOCKS),
            ]:
                flow.add(name, **{group: each * per_day}, peak=scenario.PEAK_OF_PEOPLE)
            consoles = scenario.CONSOLES_OF_LARGEST
            if group == "others":
                consoles = scenario.CONSOLES_PER_WORKSPACE * scenario.WORKSPACES
            asked = consoles * at_work / scenario.CONSOLE_SECONDS
            for name in ("get-workspace: by a member", "list-devices: one", "list-users: one", "get-user: one"):
                flow.add(name, **{group: asked / 4}, peak=scenario.PEAK_OF_PEOPLE)
        for name in ("list-devices: one", "list-users: one", "list-events: one"):
            flow.add(name, large=scenario.PAGES / 3)

    # ---- Work of schedules ----

    def due_work(self, minute, flow):
        """What has expired, in one run a minute; and jobs, each in its ranges, the longest-waiting first."""
        if self.expiring.start <= minute and self.expiring.end is None:
            seconds = self.template.function("run-due", "Timeout") - RESERVE
            self._work(minute, self.expiring, seconds, flow)
        workers = self.template.source(WORKER, "MaximumConcurrency")
        waiting = [job for job in self.jobs if job.start <= minute and job.end is None]
        for job in sorted(waiting, key=lambda job: (job.last_turn, job.start)):
            # A run works on one range, or on several pages of a sync.
            ranges = self.template.parameter("RangesPerJob")
            of_job, side_by_side = (1, PAGES_AT_ONCE) if job.operation.name == scenario.CREATES else (ranges, 1)
            runs = min(of_job, workers)
            workers -= runs
            self._work(minute, job, runs * side_by_side * 60, flow)

    def purges(self, minute, flow):
        """The purge, whose next run begins when the one before has ended."""
        period = self.template.function("purge-deleted", "Timeout") / 60
        if self.purge.start <= minute and self.purge.end is None and minute % period == 0:
            seconds = self.template.function("purge-deleted", "Timeout") - PURGE_RESERVE
            self._work(minute, self.purge, seconds * PURGES_AT_ONCE, flow, over=math.ceil(seconds / 60))

    def _work(self, minute, work, seconds, flow, over=1):
        """Works on things for some seconds, which several runs or parts of one spend side by side."""
        if seconds <= 0:
            return
        each = work.operation.seconds + limits.SECONDS_OF_PROCESSOR_PER_THING
        done = min(work.left, seconds / each)
        work.left -= done
        work.last_turn = minute
        if work.left <= 1e-6:
            work.end = minute + over * done * each / seconds
        group = {"large" if work.workspace == "largest" else "others": done / (60 * over)}
        flow.add(work.operation.name, **group)
        if work.operation.name == scenario.LOCKS_BY_JOB:
            self.pushed += done

    # ---- Consumers ----

    def consumers(self, minute, flow):
        """What the events of this minute and of the queues cause."""
        awake = self.pushed * scenario.AWAKE / 60
        self.pushed = 0.0
        flow.add("check-in-device: that delivers a command", large=awake, peak=scenario.PEAK_OF_PHONES)
        flow.add("report-command: one", large=awake, peak=scenario.PEAK_OF_PHONES)
        opened = self.invited * (1 - 0.5 ** (1 / scenario.HALF_OPENED))
        self.invited -= opened
        opened = opened * scenario.OPEN_INVITATION / 60
        for name in ("open-invitation: shown", "open-invitation: opened"):
            flow.add(name, large=opened, peak=scenario.PEAK_OF_PEOPLE)
        registered = opened * scenario.REGISTER
        for name in ("register-device: one", "check-in-device: the first of a phone"):
            flow.add(name, large=registered, peak=scenario.PEAK_OF_PEOPLE)
        self._mail(minute, flow)
        self._events(minute, flow)

    def _mail(self, minute, flow):
        offered = self._events_of(flow.large, self.template.events("send-message"))
        rate = self.mail_rate()
        sent, waited = self.mail.step(minute, offered * 60, rate * 60)
        self.mail_wait.note(minute, waited)
        day = minute // DAY
        self.mails_of_day[day] += sent
        by_text = sent * scenario.BY_TEXT
        flow.add("send-message: an e-mail", large=(sent - by_text) / 60)
        flow.add("send-message: a text", large=by_text / 60)
        flow.add("record-feedback: an e-mail", large=sent / 60)
        self.invited += sent
        self.quotas["SES e-mails/s"].note(minute, (sent - by_text) / 60)
        self.quotas["SNS texts/s"].note(minute, by_text / 60)
        texts = self.mails_of_day[day] * scenario.BY_TEXT
        self.quotas["SES e-mails/day"].note(minute, self.mails_of_day[day] - texts)
        self.of_workspace["e-mails/day of a workspace"].note(minute, self.mails_of_day[day] - texts)
        self.of_workspace["texts/day of a workspace"].note(minute, texts)

    def _events(self, minute, flow):
        """Pushes and webhooks. The large workspace has a webhook for every event."""
        waking = self.template.events("notify-device")
        wanted = {"large": self._events_of(flow.large, waking), "others": self._events_of(flow.others, waking)}
        most = self.push_rate()
        pushed, waited = self.pushes.step(minute, sum(wanted.values()) * 60, most * 60)
        self.push_wait.note(minute, waited)
        share = pushed / 60 / (sum(wanted.values()) or 1)
        for group, rate in wanted.items():
            flow.add("notify-device: a command", **{group: rate * share})
        large, others = self._events_of(flow.large, None), self._events_of(flow.others, None)
        rate = self.webhook_rate()
        done, waited = self.hooks.step(minute, (large + others) * 60, rate * 60)
        self.hook_wait.note(minute, waited, {"events a second": large + others})
        share = done / ((large + others) * 60) if large + others else 0
        others_with = others * share * scenario.WEBHOOK_SHARE
        flow.add("deliver-webhook: an event with a webhook", large=large * share, others=others_with)
        flow.add("deliver-webhook: an event without a webhook", others=others * share - others_with)
        self._derived(flow)
        self.quotas["SNS messages/s"].note(minute, large + others)
        of_shard = large / system.event_shards(large)
        _, waited = self.stream_queue.step(minute, of_shard * 60, self.stream_rate() * 60)
        self.stream_wait.note(minute, waited)
        self.used["SNS publish"] += (large + others) * 60
        self.used["SNS push"] += (flow.large["notify-device: a command"] + flow.others["notify-device: a command"]) * 60
        batch = self.template.source("deliver-webhook", "BatchSize", 10)
        mails = (flow.large["send-message: an e-mail"] + flow.large["send-message: a text"]) * 60
        self.used["SQS request"] += ((large + others) * 60 + mails) * (1 + 2 / batch)
        self.used["Lambda request"] += (large + others) * 60 / limits.EVENTS_PER_INVOCATION

    def _derived(self, flow):
        """What is derived from the things that events are about."""
        kinds = {kind for recorded in self.recorded.values() for kind in recorded.events}
        for name, types in scenario.DERIVED.items():
            of = types or kinds.difference(*filter(None, scenario.DERIVED.values()))
            flow.add(name, large=self._events_of(flow.large, of), others=self._events_of(flow.others, of))

    def _events_of(self, rates, types):
        return sum(
            rate * count
            for name, rate in rates.items()
            for kind, count in self.recorded[name].events.items()
            if types is None or kind in types
        )

    def stream_rate(self):
        """Events a second of one partition that the stream's consumer publishes."""
        batch = self.template.source("publish-events", "BatchSize", 100)
        at_once = self.template.source("publish-events", "ParallelizationFactor", limits.STREAM_BATCHES_AT_ONCE)
        # An SNS batch holds ten events, and they are sent one after the other.
        seconds = math.ceil(batch / 10) * limits.LATENCY["PublishBatch"] + limits.SECONDS_OF_PROCESSOR
        return at_once * batch / seconds

    def mail_rate(self):
        """E-mails a second: by the workers, the template's rate and SES's."""
        workers = self.template.source("send-message", "MaximumConcurrency", 1_000)
        by_workers = workers / self.recorded["send-message: an e-mail"].seconds
        rate = self.template.parameter("EmailsPerSecond", by_workers)
        return min(by_workers, rate, self.quotas["SES e-mails/s"].limit)

    def webhook_rate(self):
        """Events a second for which webhooks are looked up and called: those of a batch are looked up one after the
        other, and delivered at the same time."""
        workers = self.template.source("deliver-webhook", "MaximumConcurrency", 1_000)
        batch = self.template.source("deliver-webhook", "BatchSize", 10)
        found = self.recorded["deliver-webhook: an event without a webhook"].seconds
        called = self.recorded["deliver-webhook: an event with a webhook"].seconds + limits.SECONDS_OF_RECEIVER
        return workers * batch / (batch * found + called)

    def push_rate(self):
        """Events a second that are pushed: those of a batch side by side."""
        workers = self.template.source("notify-device", "MaximumConcurrency")
        batch = self.template.source("notify-device", "BatchSize")
        return workers * batch / self.recorded["notify-device: a command"].seconds

    # ---- Sums ----

    def account(self, minute, flow):
        """Adds the minute's loads to keys, tables, routes and quotas."""
        sums = Sums()
        for name in sorted(set(flow.large) | set(flow.others)):
            operation = self.recorded[name]
            large_peak, peak = flow.large_peak[name], flow.large_peak[name] + flow.others_peak[name]
            mean = flow.large[name] + flow.others[name]
            for load in operation.loads:
                self.used["DynamoDB write unit"] += load.writes * mean * 60
                self.used["DynamoDB read unit"] += load.reads * mean * 60
                self._add_load(sums, operation, load, large_peak, peak)
            seconds = operation.seconds + limits.SECONDS_OF_PROCESSOR
            if name == "deliver-webhook: an event with a webhook":
                seconds += limits.SECONDS_OF_RECEIVER
            sums.concurrent += peak * seconds
            if name not in IN_JOBS:
                self.used["Lambda request"] += mean * 60
                memory = self.template.function(operation.function, "MemorySize") / 1024
                self.used["Lambda GB-second"] += mean * 60 * seconds * memory
                if self.template.routes(operation.function):
                    sums.requests += peak
                    self.used["API Gateway request"] += mean * 60
                    self.routes.setdefault(self._route(operation), collections.Counter())[minute] += peak
        self._note(minute, sums, self._events_of(flow.large, None))
        self.quotas["API Gateway requests/s"].note(minute, sums.requests)
        self.quotas["Lambda concurrent executions"].note(minute, sums.concurrent)

    def commits_on(self, load, operation):
        """Returns how many commits of an operation write or check rows of a key, for each thing. In a transaction, each
        row costs at least two units.

        The events that derive-rows gets at once are those of a partition in its batching window. It counts them in one
        commit, and writes what is derived in as many as it takes."""
        if operation.function != "derive-rows":
            return min(1, load.writes / 2)
        window = self.template.source("derive-rows", "MaximumBatchingWindowInSeconds", 0)
        # A partition has from half of the events for which it is split.
        batch = min(self.template.source("derive-rows", "BatchSize"), max(1, system.EVENTS_PER_SHARD / 2 * window))
        items = sum(one.writes for one in operation.loads if one.where == "table") / 2
        return 1 / batch + max(1 / batch, items / limits.ITEMS_PER_TRANSACTION)

    def _add_load(self, sums, operation, load, large_peak, peak):
        sums.tables[load.where, "writes"] += load.writes * peak
        sums.tables[load.where, "reads"] += load.reads * peak
        rate = {"all": peak, "workspace": large_peak, "thing": 0.0}[system.scope(load.key)]
        if rate:
            # Each job has partitions of its own.
            job = f" ({operation.name})" if load.key.startswith("JOB#") else ""
            of_key = sums.keys[load.where, load.key + job]
            of_key[0] += load.reads * rate / load.partitions
            of_key[1] += load.writes * rate / load.partitions
            of_key[2][operation.name] += max(load.writes, load.reads / 3) * rate
        if load.writes and load.where == "table" and load.key in system.CONTENDED:
            sums.contended[load.key, load.reads > 0] += large_peak * self.commits_on(load, operation)

    def _note(self, minute, sums, events):
        for (where, key), (reads, writes, parts) in sums.keys.items():
            count = system.shards(where, key, events)
            for kind, value, limit in (
                ("writes", writes, limits.PARTITION_WRITES),
                ("reads", reads, limits.PARTITION_READS),
            ):
                if value:
                    peak = self.keys.setdefault((where, key, kind), Peak(limit))
                    peak.note(minute, value / count, parts)
        for (where, kind), value in sums.tables.items():
            quota = self.quotas[f"DynamoDB table {kind[:-1]} units/s"]
            self.tables.setdefault((where, kind), Peak(quota.limit)).note(minute, value)
        for (key, reads), rate in sums.contended.items():
            share = collisions(rate, system.CONTENDED[key], reads)
            peak = self.collisions.setdefault(key, Peak(limits.MOST_COLLISIONS))
            peak.note(minute, share, {"commits a second": rate})

    def _route(self, operation):
        routes = self.template.routes(operation.function)
        if operation.function == "open-invitation" and operation.name.endswith("opened"):
            return next(route for route in routes if route.startswith("POST"))
        return routes[0]

    def refusals(self):
        """Compares each route with its throttle. A burst is spent in the first seconds, so it does not help over a
        minute."""
        for route, minutes in self.routes.items():
            rate, _ = self.template.throttle(route)
            peak = Peak(rate)
            for minute, value in sorted(minutes.items()):
                peak.note(minute, value)
            self.refused[route] = peak

    def time_of(self, work):
        """Returns the minutes that a work took from its start."""
        return (work.end if work.end is not None else MOST_MINUTES) - work.start

    def run(self):
        """Runs the three days, and then on until all work is done, without the loads."""
        for minute in range(MINUTES):
            flow = Flow(self.recorded)
            self.phones(minute, flow)
            self.admins(minute, flow)
            self.due_work(minute, flow)
            self.purges(minute, flow)
            self.consumers(minute, flow)
            self.account(minute, flow)
        self.refusals()
        works = [*self.jobs, self.expiring, self.purge]
        for minute in range(MINUTES, MOST_MINUTES):
            if all(work.end is not None for work in works):
                break
            self.due_work(minute, Flow(self.recorded))
            self.purges(minute, Flow(self.recorded))
        return self
