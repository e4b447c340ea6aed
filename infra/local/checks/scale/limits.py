"""AWS's limits, prices and latencies, each with its source: the title of AWS's document, or how it was measured."""

# ---- DynamoDB ----
# "Understanding DynamoDB warm throughput in different scenarios": each partition, of a table or of an index. A key's
# rows may be split over partitions for heat, but not within minutes, and not where sort keys rise with time ("Burst and
# adaptive capacity"), so a partition key counts as one partition here.
PARTITION_WRITES = 1_000
PARTITION_READS = 3_000
# "Quotas in Amazon DynamoDB": of an on-demand table, and of each of its indexes; adjustable. On-demand tables have no
# quota per account.
TABLE_UNITS = 40_000
# "Amazon DynamoDB Transactions: How it works": two transactions with one item at a time conflict, also if they only
# check its condition. Time from a transaction's reads to its end, and of the transaction alone, where nothing is read
# before; assumed from LATENCY.
SECONDS_READ_TO_COMMIT = 0.025
SECONDS_OF_COMMIT = 0.015
# "TransactWriteItems", Amazon DynamoDB API Reference.
ITEMS_PER_TRANSACTION = 100
# Share of tries that may collide on a row before callers feel it: each is repeated after 25 ms and more.
MOST_COLLISIONS = 0.10

# ---- Quotas per account and Region, all adjustable ----
QUOTAS = {
    # "Amazon API Gateway quotas".
    "API Gateway requests/s": 10_000,
    # "Lambda quotas".
    "Lambda concurrent executions": 1_000,
    # "Amazon SNS endpoints and quotas", us-east-1: messages published to topics, texts, and pushes.
    "SNS messages/s": 30_000,
    "SNS texts/s": 20,
    # "Service quotas in Amazon SES": varies by account; what a production account is usually granted at first.
    "SES e-mails/s": 14,
    "SES e-mails/day": 50_000,
    # "Quotas in Amazon DynamoDB".
    "DynamoDB table write units/s": TABLE_UNITS,
    "DynamoDB table read units/s": TABLE_UNITS,
}

# ---- Streams and queues ----
# "Lambda parameters for Amazon DynamoDB event source mappings": default of ParallelizationFactor. Each partition of the
# table has one open shard of the stream.
STREAM_BATCHES_AT_ONCE = 1

# ---- Seconds ----
# Of one call from Lambda in the same Region. DynamoDB's is in single-digit milliseconds ("What is Amazon DynamoDB?");
# the others are assumed, as is that a transaction takes three times as long. Traces of a deployment can replace them.
LATENCY = {
    "GetItem": 0.004,
    "BatchGetItem": 0.006,
    "Query": 0.005,
    "UpdateItem": 0.005,
    "PutItem": 0.005,
    "DeleteItem": 0.005,
    "TransactWriteItems": 0.015,
    "SendEmail": 0.080,
    "Publish": 0.030,
    "PublishBatch": 0.030,
    "CreatePlatformEndpoint": 0.040,
    "GetEndpointAttributes": 0.030,
    "SetEndpointAttributes": 0.030,
    "DeleteEndpoint": 0.030,
}
# An invocation besides its calls, and a thing of a job or a purge: assumed, for a warm function at 256 MB.
SECONDS_OF_PROCESSOR_PER_THING = 0.001
SECONDS_OF_PROCESSOR = 0.003
# Events that an invocation of the stream's consumer gets: assumed; in a flood there are more.
EVENTS_PER_INVOCATION = 10
# A webhook's receiver: assumed.
SECONDS_OF_RECEIVER = 0.300

# ---- Prices in US dollars: us-east-1, list prices as known in 2025 ----
PRICES = {
    # "Amazon DynamoDB pricing for on-demand capacity".
    "DynamoDB write unit": 0.625e-6,
    "DynamoDB read unit": 0.125e-6,
    # "AWS Lambda pricing", arm64.
    "Lambda request": 0.20e-6,
    "Lambda GB-second": 0.0000133334,
    # "Amazon API Gateway pricing", HTTP APIs, metered in 512 KB; the first 300 million a month cost 1.00.
    "API Gateway request": 0.90e-6,
    # "Amazon SES pricing".
    "SES e-mail": 0.10e-3,
    # "Amazon SNS pricing": publishes in 64 KB; deliveries to SQS and Lambda are free; pushes; and texts,
    # whose price depends on the country: assumed.
    "SNS publish": 0.50e-6,
    "SNS push": 0.50e-6,
    "SNS text": 0.085,
    # "Amazon SQS pricing", standard queues: send, receive and delete are requests.
    "SQS request": 0.40e-6,
    # "Amazon CloudWatch pricing": logs, ingested.
    "CloudWatch Logs GB": 0.50,
    # "AWS X-Ray pricing": traces recorded.
    "X-Ray trace": 5.0e-6,
    # "AWS KMS pricing".
    "KMS request": 0.03e-4,
}
# Bytes of log of an invocation (Lambda's start and report, and the operation's own line; assumed), and of a request in
# the access log (the length of the template's Format, with values).
LOG_BYTES_OF_INVOCATION = 1_100
LOG_BYTES_OF_REQUEST = 330
# "Lambda and X-Ray": active tracing samples the first request each second and 5 percent of the others.
TRACED = 0.05
