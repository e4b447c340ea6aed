"""Starts the program on a free port for the checks, and calls its API and its outbox of messages."""

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started(program: str, *options: str) -> Iterator[dict]:
    """Runs the program with an in-memory database, and yields its first output line: `url`, `key`, `workspace_id`."""
    command = [program, "--port", "0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            line = json.loads(running.stdout.readline())
            # The program logs each request, and would block if nobody read its output.
            threading.Thread(target=running.stdout.read, daemon=True).start()
            yield line
        finally:
            running.terminate()


class Product:
    """A client of the API at a URL."""

    def __init__(self, url: str):
        self.url = url

    def call(self, method: str, path: str, key: str = "", body: dict | None = None) -> tuple[int, dict]:
        headers = {"accept": "application/json", "content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def done(self, *arguments) -> dict:
        status, body = self.call(*arguments)
        if status >= 300:
            raise RuntimeError(f"{arguments[:2]}: {status} {body}")
        return body

    def phones(self, key: str, user: str, address: str, name: str, platforms: list[str]) -> list[dict]:
        """Invites a user by e-mail and registers devices; returns each reply, with `device` and `credential`."""
        self.done("POST", f"/users/{user}/invite", key, {"channel": "email", "devices": len(platforms)})
        code = self.mailed(address)
        models = {"ios": "iPhone 17", "android": "Pixel 10"}
        registered = []
        for number, platform in enumerate(platforms):
            phone = {
                "code": code,
                "device_identifier": f"{name}-{number}",
                "platform": platform,
                "model_name": models[platform],
                "os_version": "26",
            }
            registered.append(self.done("POST", "/devices", "", phone))
        return registered

    def mailed(self, address: str) -> str:
        """Waits for the e-mail to an address, and returns the code in it."""
        for _ in range(100):
            for item in self.done("GET", "/_local/outbox")["items"]:
                code = re.search(r"/i/(\w+)", item["text"] or "")
                if address in str(item["to"]) and code:
                    return code[1]
            time.sleep(0.1)
        raise RuntimeError(f"no e-mail with a code was sent to {address}")
