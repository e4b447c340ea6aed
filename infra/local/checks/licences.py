"""Holds every package of the tree to the licences that deny.toml allows."""

import json
import re
import subprocess
import sys
import tomllib

with open("deny.toml", "rb") as file:
    allowed = set(tomllib.load(file)["licenses"]["allow"])

metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--locked"]))


def is_allowed(expression: str) -> bool:
    """An SPDX expression, read as far as packages use it: OR gives a choice, AND does not."""
    expression = expression.replace("/", " OR ").strip()
    depth, parts, start = 0, [], 0
    for match in re.finditer(r"\(|\)| OR ", expression):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if match[0] == " OR " and depth == 0:
            parts.append(expression[start : match.start()])
            start = match.end()
    if parts:
        return any(is_allowed(part) for part in [*parts, expression[start:]])
    if expression.startswith("(") and expression.endswith(")"):
        return is_allowed(expression[1:-1])
    if " AND " in expression:
        return all(is_allowed(part) for part in re.split(r" AND (?![^(]*\))", expression))
    return expression in allowed


faults = [
    f"{package['name']} {package['version']}: {package['license']}"
    for package in metadata["packages"]
    if package["source"] and not is_allowed(package["license"] or "none")
]
print("\n".join(faults) or f"{len(metadata['packages'])} packages, all under an allowed licence")
sys.exit(bool(faults))
