"""Checks the published description with Spectral's rules for OpenAPI, and the running program against the description.

    cargo build --workspace && python infra/local/checks/description/run.py target/debug/handset

Needs Node 20 and npm, and `schemathesis` in the same environment as Python. Installs Spectral into `--tools`, starts
the program, and calls every operation of its `/openapi.json` with valid and invalid inputs, singly and in sequences,
for existing and missing objects. No reply may be a 5xx or differ from the description.

The exit status is 1 if a check fails.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from product import Product, started  # noqa: E402

# Number of users; enough that some remain when calls have deleted others.
PEOPLE = 15
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
    "use_after_free",
]


def lint(tools: Path, description: Path) -> bool:
    tools.mkdir(parents=True, exist_ok=True)
    for name in "package.json", "package-lock.json":
        shutil.copy(HERE / name, tools / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(npm, cwd=tools, check=True, stdout=subprocess.DEVNULL)
    spectral = [tools / "node_modules/.bin/spectral", "lint", "--ruleset", HERE / "ruleset.yaml"]
    return subprocess.run([*spectral, "--fail-severity=hint", description]).returncode == 0


def furnished(product: dict) -> dict:
    """Creates objects of each kind in the workspace, and returns the initial values for `existing.py`."""
    server, key = Product(product["url"]), product["key"]
    spared = [each["key_id"] for each in server.done("GET", "/keys", key)["items"]]
    fields = {"code": [], "credential": [], "acs_credential_id": [str(uuid.uuid4())]}

    def made(path: str, body: dict) -> dict:
        reply = server.done("POST", path, key, body)
        for name, value in reply.items():
            if name.endswith("_id"):
                fields.setdefault(name, []).append(value)
        return reply

    made("/profiles", {"name": "Office", "settings": {"codec": "opus"}})
    made("/profiles", {"name": "Field", "settings": {"codec": "g729"}})
    made("/keys", {"name": "another", "permissions": ["users:read"]})
    made("/members", {"issuer": "https://id.example.com", "subject": "anna", "role": "viewer"})
    made("/webhooks", {"url": "https://hooks.example.com/in"})
    made("/sources", {"name": "people", "kind": "csv", "key_field": "username", "mapping": {"username": "login"}})
    for name in (f"person-{number}" for number in range(PEOPLE)):
        address = f"{name}@example.com"
        user = made("/users", {"username": name, "first_name": name, "email": address})["user_id"]
        phones = server.phones(key, user, address, name, ["ios", "android"])
        fields["code"].append(server.mailed(address))
        fields["credential"] += [phone["credential"] for phone in phones]
        fields.setdefault("device_id", []).extend(phone["device"]["device_id"] for phone in phones)
        made(f"/users/{user}/deploy", {})
    return {"fields": fields, "spared": spared + [product["workspace_id"]], "key": key}


def call(product: dict, tools: Path, examples: int, seed: int) -> bool:
    command = [Path(sys.executable).parent / "schemathesis", "run", f"{product['url']}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {product['key']}", "--checks", ",".join(CHECKS)]
    command += ["--phases", "coverage,fuzzing,stateful", "--max-examples", str(examples), "--seed", str(seed)]
    command += ["--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "30"]
    known = {"HANDSET_KNOWN": json.dumps(furnished(product)), "SCHEMATHESIS_HOOKS": str(HERE / "existing.py")}
    return subprocess.run(command, cwd=tools, env=os.environ | known, timeout=1800).returncode == 0


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--tools", type=Path, default=Path("target/ci-tools/description"))
    parser.add_argument("--examples", type=int, default=10, help="number of examples for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    tools = asked.tools.resolve()
    held = lint(tools, (HERE / "../../../openapi/openapi.json").resolve())
    with started(asked.binary) as product:
        held &= call(product, tools, asked.examples, asked.seed)
    return held


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
