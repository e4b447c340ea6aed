"""Calls a running server with PyPI's published `seam`, and prints a line for each check.

    SEAM_ENDPOINT=http://127.0.0.1:4750 python clients.py CURRENT|OLDER < scene.json

`scene.json`, from `run.py`, describes the existing objects. The exit status is 1 if a check fails. `clients.mjs` has
the same checks in JavaScript.
"""

import dataclasses
import json
import queue
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import seam as package
from seam import Seam, SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError, SeamWebhook
from standardwebhooks import Webhook, WebhookVerificationError

CURRENT = sys.argv[1] == "CURRENT"
# The class was renamed between the two versions.
WithoutWorkspace = package.SeamWithoutWorkspace if CURRENT else package.SeamMultiWorkspace
failed = 0


def same(what, expected, call):
    """Checks that `call`, which is made at once, returns `expected`. An exception is a failure as well."""
    global failed
    try:
        got = call()
    except Exception as fault:
        got = f"{type(fault).__name__}: {fault}"
    failed += got != expected
    print("ok    " if got == expected else "FAILED", what, flush=True)
    if got != expected:
        print(f"       expected {expected!r}\n       got      {got!r}", flush=True)


def refusal(call, kind=SeamHttpApiError):
    """Returns code and status of the error that the client raises, and whether it has a request id."""
    try:
        call()
    except kind as error:
        return error.code, error.status_code, bool(error.request_id)


def told(call):
    try:
        call()
    except SeamHttpApiError as error:
        return str(error)


def missing(what, code, call):
    same(what, (code, 404, True), lambda: refusal(call))


def invalid(what, parameters, call):
    """Checks that the client raises an error for invalid input, with these parameters."""

    def got():
        try:
            call()
        except SeamHttpInvalidInputError as error:
            # The older client does not expose the parameters.
            named = [fault.parameter_name for fault in error.validation_errors] if CURRENT else parameters
            return error.code, error.status_code, bool(error.request_id), named

    same(what, ("invalid_input", 400, True, parameters), got)


def ids(things, key="device_id"):
    return sorted(getattr(thing, key) for thing in things)


def nobody():
    return str(uuid.uuid4())


def hours(number):
    return (datetime.now(UTC) + timedelta(hours=number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def workspace(seam, scene):
    got = seam.workspaces.get()
    same("the workspace is the key's", scene["workspace_id"], lambda: got.workspace_id)
    same("the workspace has its name", scene["name"], lambda: got.name)
    same("the workspace says whether it is a sandbox", scene["sandbox"], lambda: got.is_sandbox)


def personal_access_tokens(seam, scene):
    token, own, spare = scene["personal_access_token"], scene["workspace_id"], scene["spare_workspace_id"]

    def within(workspace_id):
        return Seam(personal_access_token=token, workspace_id=workspace_id)

    same("a token selects its workspace by the header", own, lambda: within(own).workspaces.get().workspace_id)
    same("a token selects another workspace", spare, lambda: within(spare).workspaces.get().workspace_id)
    same("a token lists the same phones as a key", ids(seam.phones.list()), lambda: ids(within(own).phones.list()))
    same("a token does not list another workspace's phones", [], lambda: within(spare).phones.list())
    made = within(spare).user_identities.create(full_name="Tess Token")
    same("a token can create objects", spare, lambda: made.workspace_id)
    within(spare).user_identities.delete(user_identity_id=made.user_identity_id)
    same("a token lists its workspaces", sorted([own, spare]), lambda: workspaces_of(WithoutWorkspace(token)))
    same("a key lists its workspace", [own], lambda: workspaces_of(seam))
    for what, stranger in {
        "a workspace without access by the token": within(scene["other"]["workspace_id"]),
        "an unknown workspace": within(nobody()),
        "a wrong token": Seam(personal_access_token=f"{token[:-24]}{'1' * 24}", workspace_id=own),
    }.items():
        same(
            f"{what} is unauthorized",
            ("unauthorized", 401, True),
            lambda: refusal(lambda: stranger.phones.list(), SeamHttpUnauthorizedError),
        )


def workspaces_of(seam):
    return ids(seam.workspaces.list(), "workspace_id")


def phones(seam, scene):
    every = sorted(phone["device_id"] for phone in scene["phones"])
    owner = scene["owner"]["user_identity_id"]
    credential = scene["credential"]
    same("every phone is listed", every, lambda: ids(seam.phones.list()))
    same("phones are listed by owner", every, lambda: ids(seam.phones.list(owner_user_identity_id=owner)))
    same("an unknown owner has no phones", [], lambda: seam.phones.list(owner_user_identity_id=nobody()))
    same(
        "phones are listed by credential",
        [credential["device_id"]],
        lambda: ids(seam.phones.list(acs_credential_id=credential["acs_credential_id"])),
    )
    same("an unknown credential has no phones", [], lambda: seam.phones.list(acs_credential_id=nobody()))
    same(
        "a revoked credential has no phones",
        [],
        lambda: seam.phones.list(acs_credential_id=scene["revoked_credential_id"]),
    )
    for phone in scene["phones"]:
        got = seam.phones.get(device_id=phone["device_id"])
        expected = (phone["device_id"], phone["device_type"], scene["workspace_id"], None)
        same(
            "a phone is returned by its id",
            expected,
            lambda: (got.device_id, got.device_type, got.workspace_id, got.nickname),
        )
        same("the list has the same phone", True, lambda: got in seam.phones.list())


def credential_services(seam, scene):
    got = seam.phones.get(device_id=scene["served_device_id"])
    abloy = got.properties.assa_abloy_credential_service_metadata
    salto = got.properties.salto_space_credential_service_metadata
    endpoints = [(endpoint["endpoint_id"], endpoint["is_active"]) for endpoint in abloy.endpoints]
    same("a credential service's endpoints show", [("7", True), ("8", False)], lambda: sorted(endpoints))
    same("one endpoint is active", True, lambda: abloy.has_active_endpoint)
    same("the other service has no active endpoint", False, lambda: salto.has_active_phone)
    codes = [warning["warning_code"] for warning in got.warnings]
    same("the service's problem is a warning", True, lambda: "unknown_issue_with_phone" in codes)


def refusals(seam, scene):
    stranger = Seam(api_key="seam_11111111_111111111111111111111111")
    same(
        "a wrong key is unauthorized",
        ("unauthorized", 401, True),
        lambda: refusal(lambda: stranger.phones.list(), SeamHttpUnauthorizedError),
    )
    missing("an unknown phone", "device_not_found", lambda: seam.phones.get(device_id=nobody()))
    missing("an unknown phone to deactivate", "device_not_found", lambda: seam.phones.deactivate(device_id=nobody()))
    missing("an unknown device", "device_not_found", lambda: seam.devices.get(device_id=nobody()))
    missing(
        "an unknown device to update", "device_not_found", lambda: seam.devices.update(device_id=nobody(), name="a")
    )
    missing("an unknown event", "event_not_found", lambda: seam.events.get(event_id=nobody()))
    missing(
        "an unknown user identity",
        "user_identity_not_found",
        lambda: seam.user_identities.get(user_identity_id=nobody()),
    )
    missing(
        "an unknown key of a user identity",
        "user_identity_not_found",
        lambda: seam.user_identities.get(user_identity_key="nobody"),
    )
    # Both clients omit parameters that are None.
    invalid("a missing id", ["device_id"], lambda: seam.phones.get(device_id=None))
    same(
        "the message names the missing id",
        "device_id is required",
        lambda: told(lambda: seam.phones.get(device_id=None)),
    )
    invalid("an invalid id", ["device_id"], lambda: seam.phones.get(device_id="phone"))
    invalid("an invalid owner", ["owner_user_identity_id"], lambda: seam.phones.list(owner_user_identity_id="ada"))
    invalid("an invalid e-mail address", ["email_address"], lambda: seam.user_identities.create(email_address="ada"))
    # The error concerns two parameters, so it is not assigned to either.
    invalid("events without a time range", [], lambda: seam.events.list(event_type="phone.deactivated"))


def devices(seam, scene):
    device_id = scene["phones"][0]["device_id"]
    other_id = scene["phones"][1]["device_id"]
    ios = sorted(phone["device_id"] for phone in scene["phones"] if phone["device_type"] == "ios_phone")

    def metadata():
        return seam.devices.get(device_id=device_id).custom_metadata

    def having(**values):
        return ids(seam.devices.list(custom_metadata_has=values))

    same("devices are the phones", ids(seam.phones.list()), lambda: ids(seam.devices.list()))
    same(
        "pages of devices have every phone",
        ids(seam.phones.list()),
        lambda: ids(seam.create_paginator(seam.devices.list).flatten_to_list()),
    )
    same("devices are listed by type", ios, lambda: ids(seam.devices.list(device_type="ios_phone")))
    same("a device is returned by its id", device_id, lambda: seam.devices.get(device_id=device_id).device_id)

    seam.devices.update(device_id=other_id, custom_metadata={"site": "B"})
    seam.devices.update(device_id=device_id, custom_metadata={"site": "A.1", "room": "12", "on": True})
    same("metadata is stored", {"site": "A.1", "room": "12", "on": True}, metadata)
    seam.devices.update(device_id=device_id, custom_metadata={"room": "13", "wing": "east"})
    same("metadata is merged", {"site": "A.1", "room": "13", "on": True, "wing": "east"}, metadata)
    same("a phone has the same metadata", metadata(), lambda: seam.phones.get(device_id=device_id).custom_metadata)
    same("a device is found by a string", [device_id], lambda: having(site="A.1"))
    same("a device is found by a boolean", [device_id], lambda: having(on=True))
    same("a device is found by two values", [device_id], lambda: having(on=True, wing="east"))
    same("both values must match", [], lambda: having(on=True, site="B"))
    same("a value of no device finds nothing", [], lambda: having(site="C"))
    seam.devices.update(device_id=device_id, custom_metadata={"room": None, "wing": ""})
    same("null and an empty string remove a key", {"site": "A.1", "on": True}, metadata)
    same("a removed value finds nothing", [], lambda: having(room="13"))
    for what, wrong in {
        "a value of 501 characters": {"a": "x" * 501},
        "a key of 41 characters": {"k" * 41: "a"},
        "a key with a dot": {"a.b": "c"},
        "a number": {"a": 1},
        "an object": {"a": {"b": "c"}},
        "51 keys": {f"k{number}": "a" for number in range(51)},
        "49 keys in addition to two": {f"k{number}": "a" for number in range(49)},
    }.items():
        invalid(
            f"metadata with {what}",
            ["custom_metadata"],
            lambda: seam.devices.update(device_id=device_id, custom_metadata=wrong),
        )
    same("a refused update changes nothing", {"site": "A.1", "on": True}, metadata)

    seam.devices.update(device_id=device_id, name="Ada's phone")
    for route in seam.phones, seam.devices:
        got = route.get(device_id=device_id)
        same(
            "a name is the nickname and the display name",
            ("Ada's phone",) * 2,
            lambda: (got.nickname, got.display_name),
        )
    # The older client cannot send null.
    if CURRENT:
        seam.devices.update(device_id=device_id, name=package.NULL)
        got = seam.phones.get(device_id=device_id)
        same(
            "a removed name restores the display name",
            (None, False),
            lambda: (got.nickname, got.display_name == "Ada's phone"),
        )


def user_identities(seam, scene):
    owner = scene["owner"]
    asked = {
        "user_identity_key": f"key-{nobody()}",
        "email_address": f"{nobody()}@example.com",
        "phone_number": "+14155550100",
        "full_name": "Grace Hopper",
    }
    made = seam.user_identities.create(**asked)
    made_id = made.user_identity_id
    got = seam.user_identities.get(user_identity_id=made_id)
    same("a user identity is created with its values", asked, lambda: {name: getattr(made, name) for name in asked})
    same("create and get return the same user identity", made, lambda: got)
    same(
        "a user identity is found by its key",
        made,
        lambda: seam.user_identities.get(user_identity_key=asked["user_identity_key"]),
    )
    same("a user identity has a display name", True, lambda: bool(made.display_name))
    bare = seam.user_identities.create()
    same(
        "a user identity is created without values", (None, None), lambda: (bare.user_identity_key, bare.email_address)
    )
    same(
        "a user is a user identity",
        owner["email_address"],
        lambda: seam.user_identities.get(user_identity_id=owner["user_identity_id"]).email_address,
    )

    def listed(**parameters):
        return ids(seam.user_identities.list(**parameters), "user_identity_id")

    every = sorted([made_id, bare.user_identity_id, owner["user_identity_id"]])
    same("every user identity is listed", every, listed)
    same("a search finds the user identity", [made_id], lambda: listed(search="hopper"))
    paginator = seam.create_paginator(seam.user_identities.list, {"limit": 1})
    same("pages have every user identity", every, lambda: ids(paginator.flatten_to_list(), "user_identity_id"))
    first, pagination = paginator.first_page()
    same("a page has the requested length", 1, lambda: len(first))
    same("the first page has a next page", True, lambda: pagination.has_next_page)
    second = listed(limit=1, page_cursor=pagination.next_page_cursor)
    same(
        "the cursor returns the next page", (1, False), lambda: (len(second), second == ids(first, "user_identity_id"))
    )
    last = seam.create_paginator(seam.user_identities.list, {"limit": 100}).first_page()[1]
    same("the last page has no next page", (False, None), lambda: (last.has_next_page, last.next_page_cursor))
    if CURRENT:
        same("null as a cursor is the first page", every, lambda: listed(page_cursor=package.NULL))

    seam.user_identities.update(user_identity_id=made_id, full_name="Grace Brewster Hopper")
    got = seam.user_identities.get(user_identity_id=made_id)
    same("a name is changed", "Grace Brewster Hopper", lambda: got.full_name)
    same("other values are unchanged", asked["email_address"], lambda: got.email_address)
    if CURRENT:
        seam.user_identities.update(user_identity_id=made_id, phone_number=package.NULL)
        same("null removes a value", None, lambda: seam.user_identities.get(user_identity_id=made_id).phone_number)
    for gone in made_id, bare.user_identity_id:
        seam.user_identities.delete(user_identity_id=gone)
    missing(
        "a deleted user identity", "user_identity_not_found", lambda: seam.user_identities.get(user_identity_id=made_id)
    )
    same("deleted user identities are not listed", [owner["user_identity_id"]], listed)


def sandbox_phones(seam, scene):
    owner = seam.user_identities.create(full_name="Sandy Box").user_identity_id
    create = seam.phones.simulate.create_sandbox_phone
    if not scene["sandbox"]:
        same(
            "no sandbox phone outside a sandbox",
            True,
            lambda: 400 <= refusal(lambda: create(user_identity_id=owner))[1] < 500,
        )
        return
    plain = create(user_identity_id=owner)
    same("a sandbox phone runs Android", "android_phone", lambda: plain.device_type)
    described = create(
        user_identity_id=owner,
        custom_sdk_installation_id="installation-1",
        phone_metadata={
            "operating_system": "ios",
            "device_model": "iPhone 17",
            "os_version": "26.1",
            "device_manufacturer": "Apple",
        },
        assa_abloy_metadata={
            "application_version": "1.0.0",
            "seos_applet_version": "1.0.0",
            "seos_tsm_endpoint_id": 1,
            "ble_capability": True,
            "hce_capability": False,
            "nfc_capability": False,
        },
    )
    same("a sandbox phone runs iOS if requested", "ios_phone", lambda: described.device_type)
    both = ids([plain, described])
    same("sandbox phones are listed by owner", both, lambda: ids(seam.phones.list(owner_user_identity_id=owner)))
    for phone in plain, described:
        same("get returns the sandbox phone as created", phone, lambda: seam.phones.get(device_id=phone.device_id))
        seam.phones.deactivate(device_id=phone.device_id)
    same("deactivated sandbox phones are not listed", [], lambda: seam.phones.list(owner_user_identity_id=owner))
    missing(
        "a sandbox phone of an unknown user identity",
        "user_identity_not_found",
        lambda: create(user_identity_id=nobody()),
    )
    invalid(
        "a sandbox phone with an unknown operating system",
        ["phone_metadata"],
        lambda: create(user_identity_id=owner, phone_metadata={"operating_system": "symbian"}),
    )


def isolation(seam, scene):
    other = scene["other"]
    device_id, owner = other["device_id"], other["user_identity_id"]
    missing("another workspace's phone", "device_not_found", lambda: seam.phones.get(device_id=device_id))
    missing("another workspace's device", "device_not_found", lambda: seam.devices.get(device_id=device_id))
    missing(
        "deactivating another workspace's phone",
        "device_not_found",
        lambda: seam.phones.deactivate(device_id=device_id),
    )
    missing(
        "renaming another workspace's device",
        "device_not_found",
        lambda: seam.devices.update(device_id=device_id, name="mine"),
    )
    missing(
        "another workspace's user identity",
        "user_identity_not_found",
        lambda: seam.user_identities.get(user_identity_id=owner),
    )
    missing(
        "renaming another workspace's user identity",
        "user_identity_not_found",
        lambda: seam.user_identities.update(user_identity_id=owner, full_name="Mine"),
    )
    missing(
        "deleting another workspace's user identity",
        "user_identity_not_found",
        lambda: seam.user_identities.delete(user_identity_id=owner),
    )
    missing("another workspace's event", "event_not_found", lambda: seam.events.get(event_id=other["event_id"]))
    same(
        "another workspace's phone is not listed",
        False,
        lambda: device_id in ids(seam.phones.list()) + ids(seam.devices.list()),
    )
    same("another workspace's phone is not listed by owner", [], lambda: seam.phones.list(owner_user_identity_id=owner))
    same(
        "another workspace's phone is not listed by credential",
        [],
        lambda: seam.phones.list(acs_credential_id=other["acs_credential_id"]),
    )
    same(
        "another workspace's events are not listed",
        [],
        lambda: seam.events.list(since=hours(-1), device_id=other["deactivated_device_id"]),
    )


def deactivation(seam, scene):
    lost = scene["credential"]["device_id"]
    owner = scene["owner"]["user_identity_id"]
    kind = "phone.deactivated"
    kept = sorted(phone["device_id"] for phone in scene["phones"] if phone["device_id"] != lost)
    same(
        "there is no event before the deactivation",
        [],
        lambda: seam.events.list(since=hours(-1), device_id=lost, event_type=kind),
    )
    same("a phone is deactivated", None, lambda: seam.phones.deactivate(device_id=lost))
    same("a phone is deactivated again", None, lambda: seam.phones.deactivate(device_id=lost))
    missing("a deactivated phone", "device_not_found", lambda: seam.phones.get(device_id=lost))
    missing("a deactivated device", "device_not_found", lambda: seam.devices.get(device_id=lost))
    same("the other phones are still listed", kept, lambda: ids(seam.phones.list()))
    same(
        "the other phones are still listed by owner", kept, lambda: ids(seam.phones.list(owner_user_identity_id=owner))
    )
    same("the other phones are still listed as devices", kept, lambda: ids(seam.devices.list()))
    credential_id = scene["credential"]["acs_credential_id"]
    same(
        "the credential of a deactivated phone has no phones",
        [],
        lambda: seam.phones.list(acs_credential_id=credential_id),
    )

    events = seam.events.list(since=hours(-1), device_id=lost, event_type=kind)
    same(
        "the deactivation has one event",
        [(kind, lost, scene["workspace_id"])],
        lambda: [(event.event_type, event.device_id, event.workspace_id) for event in events],
    )
    event = events[0]
    same(
        "the event is found between two times",
        [event],
        lambda: seam.events.list(between=[hours(-1), hours(1)], device_ids=[lost], event_types=[kind]),
    )
    same(
        "the event is found by two phones",
        [event],
        lambda: seam.events.list(since=hours(-1), device_ids=[lost, kept[0]], event_types=[kind]),
    )
    same(
        "the event is not found between other times",
        [],
        lambda: seam.events.list(between=[hours(-3), hours(-2)], device_id=lost),
    )
    same(
        "the event is not found by another phone",
        [],
        lambda: seam.events.list(since=hours(-1), device_id=kept[0], event_type=kind),
    )
    same(
        "a list of events has at most the requested length",
        1,
        lambda: len(seam.events.list(since=hours(-1), event_type=kind, limit=1)),
    )
    same("the event is returned by its id", event, lambda: seam.events.get(event_id=event.event_id))
    same("the event is returned by phone and type", event, lambda: seam.events.get(device_id=lost, event_type=kind))


def webhooks(seam, scene):
    """Checks a delivery with the client's own verifier."""
    delivered = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            delivered.put((body, dict(self.headers)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{receiver.server_port}/seam"
        webhook = seam.webhooks.create(url=url, event_types=["phone.deactivated"])
        same("a webhook is created", (url, ["phone.deactivated"]), lambda: (webhook.url, webhook.event_types))
        same("the secret has Svix's format", "whsec_", lambda: webhook.secret[:6])
        lost = scene["phones"][1]["device_id"]
        seam.phones.deactivate(device_id=lost)
        body, headers = delivered.get(timeout=60)
        receiver.shutdown()
    verifier = SeamWebhook(webhook.secret)
    event = verifier.verify(body, headers)
    same("the client's verifier accepts the delivery", lost, lambda: event.device_id)
    # Deliveries contain no data that may be personal, such as custom metadata.
    found = seam.events.get(device_id=lost, event_type="phone.deactivated")
    same("the event has the phone's metadata", {"site": "B"}, lambda: found.device_custom_metadata)
    same("the delivery has the event", event, lambda: dataclasses.replace(found, device_custom_metadata={}))

    def forged():
        try:
            verifier.verify(body.replace(lost, nobody()), headers)
        except package.SeamWebhookVerificationError:
            return "refused"

    same("the client's verifier refuses a changed delivery", "refused", forged)
    standard = Webhook(webhook.secret)
    same(
        "the verifier of Standard Webhooks accepts the delivery",
        lost,
        lambda: standard.verify(body, headers)["device_id"],
    )

    def forged_standard():
        try:
            standard.verify(body.replace(lost, nobody()), headers)
        except WebhookVerificationError:
            return "refused"

    same("the verifier of Standard Webhooks refuses a changed delivery", "refused", forged_standard)


def main():
    scene = json.load(sys.stdin)
    seam = Seam(api_key=scene["key"])
    sections = [workspace, personal_access_tokens, phones, credential_services, refusals]
    sections += [devices, user_identities, sandbox_phones, isolation, deactivation]
    for section in sections + [webhooks] * scene["webhooks"]:
        try:
            section(seam, scene)
        except Exception as fault:
            # The rest of the section was not checked.
            stopped = f"{type(fault).__name__}: {fault}"
            same(f"{section.__name__} is completed", "to the end", lambda: stopped)
    return failed


if __name__ == "__main__":
    sys.exit(bool(main()))
