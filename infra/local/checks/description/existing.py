"""Lets two of three calls meet things that exist: what replies have named stands in for what was made up.

Made-up identifiers name nothing, so by themselves they come no further than "not found". The phones' own operations
are called by a phone's credential. Loaded by schemathesis; `HANDSET_KNOWN` is what it begins with, as JSON: `fields`,
the values of fields by name; `spared`, what is never named, since the calls depend on it; `key`, by which calls are
made.
"""

import json
import os
import random
from collections import defaultdict
from collections.abc import Callable

import requests
import schemathesis

BEGINNING = json.loads(os.environ["HANDSET_KNOWN"])
OWN = f"Bearer {BEGINNING['key']}"
SPARED = set(BEGINNING["spared"])
# The newest of each, since the older are likely to be gone.
KEPT = 40
# Whoever meets one of these cannot be met as what they were.
ENDING = ("/wipe", "/lock-and-wipe", "/bulk", "/suspend", "/block")
KNOWN = defaultdict(list, {name: list(values) for name, values in BEGINNING["fields"].items()})
CHANCE = random.Random(1)


def note(value: object) -> None:
    """Keeps the identifiers and credentials of a reply."""
    if isinstance(value, list):
        for each in value:
            note(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and (name.endswith("_id") or name == "credential"):
                keep(name, each)
            else:
                note(each)


def keep(name: str, value: str) -> None:
    known = KNOWN[name]
    if value not in SPARED and value not in known:
        known.append(value)
        del known[:-KEPT]


def replaced(name: str, value: object) -> object:
    """A known value for a field, if there is one; several for a list of them."""
    if isinstance(value, list) and name.endswith("_ids") and KNOWN[name[:-1]]:
        return [CHANCE.choice(KNOWN[name[:-1]]) for _ in value]
    if isinstance(value, str) and KNOWN[name]:
        return CHANCE.choice(KNOWN[name])
    return value


def phone(credential: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Makes a request a phone's own, whatever header it had."""

    def signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {credential}"
        return request

    return signed


@schemathesis.hook
def before_call(context, case, kwargs) -> None:
    ends = case.method.upper() == "DELETE" or case.operation.path.endswith(ENDING)
    if CHANCE.random() < (7 / 8 if ends else 1 / 3):
        return
    for part in case.path_parameters, case.query, case.body:
        if isinstance(part, dict):
            part.update({name: replaced(name, value) for name, value in part.items()})
    # Nor would anything be done about a version that was made up.
    case.headers.pop("If-Match", None)
    called_by_phone = case.operation.definition.raw.get("security") == [{"device": []}]
    if called_by_phone and case.headers.get("Authorization") == OWN and KNOWN["credential"]:
        kwargs["auth"] = phone(CHANCE.choice(KNOWN["credential"]))


@schemathesis.hook
def after_call(context, case, response) -> None:
    if "json" in response.headers.get("content-type", [""])[0]:
        try:
            note(response.json())
        except ValueError:
            pass
