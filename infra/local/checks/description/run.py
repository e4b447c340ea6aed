"""Holds the published description to Spectral's rules for OpenAPI, and the running program to the description.

    cargo build --workspace && python infra/local/checks/description/run.py target/debug/handset

Needs Node 20 and npm, and `schemathesis` beside the Python that runs it. Installs Spectral into `--tools`, starts the
program, and calls every operation of what it serves at `/openapi.json` with inputs that the description allows and
that it does not, alone and one after another: no reply may be a 5xx, or outside of the description.

The exit status is 1 if something does not hold.
"""

import argparse
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).parent
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


def call(url: str, key: str, tools: Path, examples: int, seed: int) -> bool:
    command = [Path(sys.executable).parent / "schemathesis", "run", f"{url}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS)]
    command += ["--phases", "coverage,fuzzing,stateful", "--max-examples", str(examples), "--seed", str(seed)]
    command += ["--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "30"]
    return subprocess.run(command, cwd=tools, timeout=1800).returncode == 0


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--tools", type=Path, default=Path("target/ci-tools/description"))
    parser.add_argument("--examples", type=int, default=10, help="for each operation and phase")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    tools = asked.tools.resolve()
    held = lint(tools, (HERE / "../../../openapi/openapi.json").resolve())
    program = [asked.binary, "--port", "0", "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            started = json.loads(server.stdout.readline())
            # It has a word about each request, and would wait for somebody to read it.
            threading.Thread(target=server.stdout.read, daemon=True).start()
            held &= call(started["url"], started["key"], tools, asked.examples, asked.seed)
        finally:
            server.terminate()
    return held


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
