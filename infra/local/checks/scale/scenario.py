"""Three days of a large deployment: who is there, and what they do. Minutes count from Monday, 00:00 UTC."""

DAY = 24 * 60
DAYS = 3

# Workspaces: one large, the others share the rest. Only the large one's partitions are looked at: no other is hotter.
WORKSPACES = 10_000
DEVICES = 10_000_000
LARGEST = 1_000_000
# Each user has one phone here, which makes a workspace's users as many as its phones.

# Hours from UTC, and the share of phones there.
ZONES_OF_LARGEST = {1: 0.90, -5: 0.10}
ZONES_OF_OTHERS = {-8: 0.10, -5: 0.25, -3: 0.05, 0: 0.10, 1: 0.30, 5: 0.05, 8: 0.10, 9: 0.05}

# Minutes between two check-ins that a phone makes by itself; the template's CheckInMinutes, where there is one.
CADENCE = 15
# Each phone reports its usage once a day: with its first check-in after its local midnight.
USAGE_HOUR = 0
# Times that people open the app on a day, by local hour; a Monday's hour from 8 is a wave of its own.
OPENS = {**dict.fromkeys(range(7, 9), 0.5), **dict.fromkeys(range(9, 18), 0.35), **dict.fromkeys(range(18, 23), 0.2)}
MONDAY_WAVE_HOUR = 8
# Share of phones opened in that hour, and the part of them in its first five minutes.
MONDAY_WAVE = 0.60
MONDAY_WAVE_START = 0.30
# In the busiest second of a minute, there is this many times the minute's mean.
PEAK_OF_PEOPLE = 1.5
PEAK_OF_PHONES = 1.1

# An app version reaches all phones in two days, half of them in the nights (local hours 1 to 6).
ROLLOUT_MINUTES = 2 * DAY
ROLLOUT_AT_NIGHT = 0.5

# What admins and their programs do, per user and working day (local hours 8 to 18), and how often consoles ask.
CHANGES_OF_USERS = 0.02
CHANGES_OF_DEVICES = 0.02
BLOCKS = 0.002
LOCKS = 0.002
CONSOLES_OF_LARGEST = 50
CONSOLES_PER_WORKSPACE = 1
CONSOLE_SECONDS = 20
# Programs of the largest workspace that page through its lists all day: pages a second.
PAGES = 5

# The share of search words that begin with the most frequent character is one in this many: each user has a word of the
# e-mail's domain.
LETTERS = 5

# Workspaces with a webhook for every event; the largest has one.
WEBHOOK_SHARE = 0.3

# A phone that is pushed checks in at once, if it is awake; the others do at their cadence.
AWAKE = 0.9
# People who open their invitation, minutes until half of them have, and those of them who register a phone.
OPEN_INVITATION = 0.8
HALF_OPENED = 40
REGISTER = 0.9

# Recorded derivations, with the types of the events that cause them; None for all others.
DERIVED = {
    "derive-rows: a new user": {"user.created"},
    "derive-rows: a new phone": {"device.registered"},
    "derive-rows: another app version": {"device.updated", "device.confirmed"},
    "derive-rows: a command": None,
}

# Recorded operations of jobs.
CREATES = "run-due: a sync that creates users"
INVITES = "run-due: a job that invites users"
SUSPENDS = "run-due: a job that is to suspend users"
ACTIVATES = "run-due: a job that is to activate users"
LOCKS_BY_JOB = "run-due: a job that locks devices"
# Jobs: name, workspace, operation, things, minute of the start, goal in minutes. The goals are 1,000,000 users in an
# hour, and that a small job beside a large one is not held up.
JOBS = [
    ("sync that creates 100,000 users", "largest", CREATES, 100_000, 5 * 60, 30),
    ("invitation of 100,000 users", "largest", INVITES, 100_000, 7 * 60, 30),
    ("suspension of 1,000,000 users", "largest", SUSPENDS, 1_000_000, DAY + 9 * 60, 60),
    ("small job beside it: 200 users", "other", SUSPENDS, 200, DAY + 9 * 60 + 10, 5),
    ("activation of 1,000,000 users", "largest", ACTIVATES, 1_000_000, DAY + 12 * 60, 60),
    ("lock of 1,000,000 phones", "largest", LOCKS_BY_JOB, 1_000_000, 2 * DAY + 9 * 60, 60),
]
# What must be possible in one workspace, if there were enough workers: the operation, things, and the goal in minutes.
GOALS = [
    ("sync that creates users", CREATES, 1_000_000, 60),
    ("sync that suspends who is gone", "run-due: a sync without whom it created", 1_000_000, 60),
    ("job that suspends users", SUSPENDS, 1_000_000, 60),
    ("job that locks phones", LOCKS_BY_JOB, 1_000_000, 60),
    ("job that invites users", INVITES, 100_000, 30),
    ("auto-deploy", "run-due: auto-deploy", 1_000_000, 90),
    ("rule for silent phones", "run-due: the rule for silent devices", 1_000_000, 60),
    ("purge of phones", "purge-deleted: a device", 1_000_000, 60),
    ("expiry of invitations", "run-due: an expired invitation", 1_000_000, 60),
]
# Texts among the invitations.
BY_TEXT = 0.05

# Devices whose retention ends on Tuesday, 00:00 UTC, in the largest workspace, and the goal in minutes.
PURGE = 200_000
PURGE_AT = DAY
PURGE_GOAL = 60
# Invitations that expire at one time, from an earlier campaign, and the goal for them.
EXPIRING = 50_000
EXPIRING_AT = 10 * 60
EXPIRING_GOAL = 60

# Longest that an e-mail and an event may wait in a queue or stream, in minutes: the template's alarms at their start.
MAIL_GOAL = 15
EVENT_GOAL = 5

# What an operator of this size sets (infra/docs/deploying.md); a name that the template does not have is not used.
PARAMETERS = {
    "EmailsPerDay": 200_000,
    "TextsPerDay": 20_000,
    "EventShards": 64,
    "EmailsPerSecond": 200,
    "TextsPerSecond": 20,
    "CheckInRate": 20_000,
    "PhoneRate": 2_000,
    "CodeRate": 200,
    "ApiRate": 2_000,
}
# Quotas that such an account has asked for; others are the defaults.
RAISED = {
    "API Gateway requests/s": 40_000,
    "Lambda concurrent executions": 5_000,
    "SES e-mails/s": 200,
    "SES e-mails/day": 1_000_000,
    "DynamoDB table write units/s": 120_000,
    "DynamoDB table read units/s": 80_000,
}
