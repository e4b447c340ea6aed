"""Checks the server with Seam's published, unmodified clients, and its replies against Seam's published schemas.

    cargo build --workspace && python infra/local/checks/seam/run.py target/debug/handset

Needs Node 20 and npm. Installs the clients (two versions for Python, two for JavaScript) into `--tools`, starts the
program, and runs all checks with each client in a sandbox and in an ordinary workspace, each with its own users and
phones. A recording proxy between clients and server records the server's replies for `schema.mjs`. `--webhooks` also
waits for deliveries, which the clients' verifiers and that of Standard Webhooks must accept.

Prints a line for each check; the exit status is 1 if one fails.
"""

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from product import Product, started  # noqa: E402

PYTHON = {"CURRENT": "3.18.0", "OLDER": "1.210.0"}
# The published verifier of Standard Webhooks.
VERIFIER = "standardwebhooks==1.0.1"
# Versions that package.json installs: npm's `seam` 1.245.0 contains `@seamapi/http` 2.32.0.
JAVASCRIPT = {"CURRENT": "2.32.0", "OLDER": "1.102.0"}
# The clients' names and versions in their requests.
CLIENTS = {f"seamapi/python {version}" for version in PYTHON.values()}
CLIENTS |= {f"seamapi/javascript-http {version}" for version in JAVASCRIPT.values()}

facts = []


def fact(held: bool, what: str) -> None:
    facts.append(held)
    print("ok    " if held else "FAILED", what, flush=True)


def run(command: list, **options) -> None:
    """Runs a program, prints its output, and counts its checks."""
    print(f"-- {options.pop('title')}", flush=True)
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, **options)
    print(told.stdout, end="", flush=True)
    lines = [line[:7] for line in told.stdout.splitlines() if line[:7] in ("ok     ", "FAILED ")]
    facts.extend(line == "ok     " for line in lines)
    if told.returncode != ("FAILED " in lines) or not lines:
        fact(False, f"the program exited with status {told.returncode} after {len(lines)} checks")


def install(tools: Path) -> dict[str, Path]:
    """Installs the clients with npm and pip; returns the interpreter of each Python client's virtual environment."""
    tools.mkdir(parents=True, exist_ok=True)
    for name in "package.json", "package-lock.json", "clients.mjs", "schema.mjs":
        shutil.copy(HERE / name, tools)
    # package.json replaces `@seamapi/cli` (700 MB), on which `seam` depends only for its command line, by another of
    # Seam's packages. The clients declare Node 22 as required, but run on 20.
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=tools, check=True, stdout=subprocess.DEVNULL)
    pythons = {}
    for generation, version in PYTHON.items():
        python = pythons[generation] = tools / f"python-{version}" / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"seam=={version}", VERIFIER], check=True)
    return pythons


class Recorder(ThreadingHTTPServer):
    """A proxy that forwards each request unchanged to `upstream`, and records the reply in a file."""

    def __init__(self, upstream: str, file: Path):
        super().__init__(("127.0.0.1", 0), Passing)
        self.upstream = urlsplit(upstream).netloc
        self.file = file.open("w")
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def write(self, record: dict) -> None:
        with self.lock:
            print(json.dumps(record), file=self.file, flush=True)


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        sent = self.rfile.read(int(self.headers.get("content-length") or 0))
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                upstream.putheader(name, value)
        upstream.putheader("connection", "close")
        upstream.endheaders(sent or None)
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()

        target = urlsplit(self.path)
        self.server.write(
            {
                "client": f"{self.headers.get('seam-sdk-name')} {self.headers.get('seam-sdk-version')}",
                "method": self.command,
                "path": target.path,
                "query": target.query,
                "sent": sent.decode(),
                "status": answer.status,
                "headers": {name.lower(): value for name, value in answer.getheaders()},
                "body": body.decode(),
            }
        )

        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *_) -> None:
        pass


class Server(Product):
    """Creates the objects that the clients read, with the server's own API."""

    def workspace(self, name: str, sandbox: bool) -> dict:
        """Creates a workspace with a user who has three phones."""
        made = self.done("POST", "/_local/workspaces", "", {"name": name, "sandbox": sandbox})
        key = made["key"]
        fact(("test" in key.split("_")[1]) == sandbox, f"the key shows whether the workspace is a sandbox: {name}")
        address = f"ada-{uuid.uuid4()}@example.com"
        user = self.done("POST", "/users", key, {"username": "ada", "first_name": "Ada", "email": address})["user_id"]
        platforms = ["ios", "android", "ios"]
        registered = self.phones(key, user, address, name, platforms)
        phones = [
            {
                "device_id": phone["device"]["device_id"],
                "device_type": f"{platform}_phone",
                "own_credential": phone["credential"],
            }
            for platform, phone in zip(platforms, registered)
        ]
        return {
            "name": name,
            "sandbox": sandbox,
            "workspace_id": made["workspace_id"],
            "key": key,
            "owner": {"user_identity_id": user, "email_address": address},
            "phones": phones,
        }

    def issue(self, place: dict, number: int) -> dict:
        """Issues a new credential to the phone."""
        device_id, credential_id = place["phones"][number]["device_id"], str(uuid.uuid4())
        self.done("PUT", f"/devices/{device_id}/credentials/{credential_id}", place["key"])
        return {"device_id": device_id, "acs_credential_id": credential_id}

    def report(self, place: dict, device_id: str, service: str, endpoints: dict[str, bool], problem: str = "") -> None:
        """Reports a credential service's endpoints for a phone."""
        known = [{"endpoint_id": name, "is_active": active} for name, active in endpoints.items()]
        body = {"endpoints": known} | ({"problem": problem} if problem else {})
        self.done("PUT", f"/devices/{device_id}/credential-services/{service}", place["key"], body)

    def neighbour(self) -> dict:
        """Creates a workspace whose objects no other workspace may see."""
        place = self.workspace("neighbour", False)
        lost = place["phones"][2]["device_id"]
        credential = self.issue(place, 0)
        self.done("POST", "/phones/deactivate", place["key"], {"device_id": lost})
        wanted = {"since": "2020-01-01T00:00:00Z", "device_id": lost, "event_type": "phone.deactivated"}
        [event] = self.done("POST", "/events/list", place["key"], wanted)["events"]
        seen = {
            **credential,
            "user_identity_id": place["owner"]["user_identity_id"],
            "deactivated_device_id": lost,
            "event_id": event["event_id"],
            "workspace_id": place["workspace_id"],
        }
        return {"key": place["key"], "seen": seen}

    def scene(self, name: str, sandbox: bool, other: dict) -> dict:
        place = self.workspace(name, sandbox)
        revoked = self.issue(place, 0)
        path = f"/devices/{revoked['device_id']}/credentials/{revoked['acs_credential_id']}"
        self.done("DELETE", path, place["key"])
        served = place["phones"][1]["device_id"]
        self.report(place, served, "assa_abloy", {"7": True, "8": False})
        self.report(place, served, "salto_space", {"9": False}, "Out of reach.")
        spare = self.done("POST", "/_local/workspaces", "", {"name": f"{name}, spare"})["workspace_id"]
        both = sorted([place["workspace_id"], spare])
        token = self.done("POST", "/_local/tokens", "", {"workspace_ids": both})["token"]
        # The credential is on the phone that will be deactivated.
        return {
            **place,
            "personal_access_token": token,
            "spare_workspace_id": spare,
            "credential": self.issue(place, 2),
            "revoked_credential_id": revoked["acs_credential_id"],
            "served_device_id": served,
            "other": other,
        }


def aftermath(server: Server, scene: dict) -> None:
    """Checks the effects of a deactivation that Seam's API does not show."""
    kept, lost = scene["phones"][0], scene["phones"][2]
    for phone, access in (kept, "allowed"), (lost, "deleted"):
        status, body = server.call("POST", "/devices/me/check-in", phone["own_credential"], {})
        fact((status, body.get("access")) == (200, access), f"a phone that checks in is {access} ({status} {body})")
    path = f"/devices/{lost['device_id']}/credentials/{uuid.uuid4()}"
    status, body = server.call("PUT", path, scene["key"])
    fact(400 <= status < 500, f"no credential is issued to a deactivated phone ({status} {body.get('code')})")


def untouched(server: Server, neighbour: dict) -> dict:
    """Returns the neighbour's objects, to compare them before and after the checks."""
    seen = neighbour["seen"]
    paths = f"/devices/{seen['device_id']}", f"/users/{seen['user_identity_id']}"
    return {path: server.done("GET", path, neighbour["key"]) for path in paths}


def check(url: str, tools: Path, pythons: dict[str, Path], webhooks: bool) -> None:
    server = Server(url)
    neighbour = server.neighbour()
    before = untouched(server, neighbour)
    recording = tools / "recording.jsonl"
    recorder = Recorder(url, recording)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEAM_")}
    environment |= {"SEAM_ENDPOINT": recorder.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    programs = [(f"PyPI seam {PYTHON[each]}", [pythons[each], HERE / "clients.py", each]) for each in PYTHON]
    programs += [
        (f"npm @seamapi/http {JAVASCRIPT[each]}", ["node", tools / "clients.mjs", each]) for each in JAVASCRIPT
    ]
    for client, program in programs:
        for sandbox in True, False:
            name = f"{client}, {'sandbox' if sandbox else 'ordinary workspace'}"
            scene = server.scene(name, sandbox, neighbour["seen"])
            run(program, title=name, env=environment, input=json.dumps({**scene, "webhooks": webhooks}))
            aftermath(server, scene)
    print("-- all clients")
    fact(before == untouched(server, neighbour), "nothing in another workspace was changed")
    recorder.shutdown()
    seen = {json.loads(line)["client"] for line in recording.read_text().splitlines()}
    fact(seen == CLIENTS, f"the recorded clients are: {', '.join(sorted(seen))}")
    run(["node", tools / "schema.mjs", recording], title="replies, checked against npm @seamapi/types")


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument(
        "--tools", type=Path, default=Path("target/ci-tools/seam"), help="directory in which the clients are installed"
    )
    parser.add_argument("--webhooks", action="store_true", help="also check webhooks")
    options = parser.parse_args()
    tools = options.tools.resolve()
    pythons = install(tools)
    with started(options.binary, *["--allow-loopback"] * options.webhooks) as product:
        check(product["url"], tools, pythons, options.webhooks)
    failed = facts.count(False)
    print(f"{len(facts)} checks, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main())
