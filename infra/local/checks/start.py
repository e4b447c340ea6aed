"""Measures the start-up time of release builds and the CPU time of a call, for several programs in one run.

    cargo build --release --workspace --bin bootstrap
    python3 infra/local/checks/start.py target/release/bootstrap [ANOTHER …]

Serves Lambda's runtime API ("Using the Lambda runtime API") on loopback. Prints for each program its size, the median
times from its start to its first request for an event and to its first reply, and the CPU time of a call, averaged over
5,000 calls of `not-found`, which calls no other service.
"""

import http.server
import json
import os
import statistics
import subprocess
import sys
import threading
import time

STARTS = 30
CALLS = 5000
EVENT = json.dumps(
    {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/nothing",
        "rawQueryString": "",
        "headers": {"accept": "application/json"},
        "requestContext": {
            "accountId": "1",
            "apiId": "a",
            "domainName": "localhost",
            "domainPrefix": "a",
            "http": {"method": "GET", "path": "/nothing", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "r",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 0,
        },
        "isBase64Encoded": False,
    }
).encode()


class Run:
    """State of the measured run."""

    def __init__(self, calls):
        self.calls = calls
        self.given = 0
        self.first_asked = self.first_replied = None
        self.over = threading.Event()


run = None


class Runtime(http.server.BaseHTTPRequestHandler):
    """The part of the runtime API that sends events and receives replies."""

    protocol_version = "HTTP/1.1"
    # Otherwise each response body would wait for the acknowledgement of the header lines.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        run.first_asked = run.first_asked or time.perf_counter()
        if run.given == run.calls:
            run.over.set()
            self.close_connection = True
            return
        run.given += 1
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(run.given))
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 10_000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:1:function:f")
        self.send_header("Content-Length", str(len(EVENT)))
        self.end_headers()
        self.wfile.write(EVENT)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        run.first_replied = run.first_replied or time.perf_counter()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()


def measure(program, port, calls):
    """Returns milliseconds to the first request for an event and to the first reply, and seconds of CPU time."""
    global run
    run = Run(calls)
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "l",
        "AWS_LAMBDA_LOG_STREAM_NAME": "l",
        "AWS_REGION": "eu-central-1",
        "_HANDLER": "not-found",
    }
    began = time.perf_counter()
    process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not run.over.wait(600):
        sys.exit(f"{program} did not complete its calls in time")
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    process.kill()
    process.wait()
    processor = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return (run.first_asked - began) * 1000, (run.first_replied - began) * 1000, processor


def main(programs):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    starts = {program: [] for program in programs}
    for program in programs:
        measure(program, port, 1)
    for _ in range(STARTS):
        for program in programs:
            starts[program].append(measure(program, port, 1))
    for program in programs:
        asked = statistics.median(start[0] for start in starts[program])
        replied = statistics.median(start[1] for start in starts[program])
        processor = statistics.median(measure(program, port, CALLS)[2] for _ in range(3))
        size = os.path.getsize(program) / 1e6
        print(f"{program}: {size:.2f} MB; ready after {asked:.2f} ms, first reply after {replied:.2f} ms; ", end="")
        print(f"{processor / CALLS * 1e6:.0f} µs of CPU time per call")


if __name__ == "__main__":
    main(sys.argv[1:] or ["target/release/bootstrap"])
