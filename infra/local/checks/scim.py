"""Holds SCIM 2.0 (`/scim/v2`) to the RFCs by a third party: scim2-tester, over scim2-client.

    cargo build --workspace && python infra/local/checks/scim.py target/debug/handset

Starts the program on a free port, lets the checker go through everything that the server says it knows (discovery,
users made, shown, listed, searched, replaced, deleted, and each attribute patched), and ends the program. Then the few
things that identity providers rely on and the checker does not look at: versions, uniqueness and errors.

Prints a line for each check; the exit status is 1 if one failed or none was made.
"""

import sys

import httpx2
from product import started
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

FAILED = {Status.DEVIATION, Status.ERROR, Status.CRITICAL}
TYPE = "application/scim+json"


def checked(client: httpx2.Client) -> list[tuple[bool, str]]:
    """What scim2-tester says, check by check. What was skipped is a fault: everything here is to be looked at."""
    results = check_server(SyncSCIMClient(client))
    failed = FAILED | {Status.SKIPPED}
    return [(result.status not in failed, f"{result.title}: {result.reason or result.status.name}") for result in results]


def relied_on(client: httpx2.Client) -> list[tuple[bool, str]]:
    """What the checker does not look at."""
    made = client.post("/Users", json={"userName": "ada", "externalId": "00u1"})
    again = client.post("/Users", json={"userName": "ADA"})
    twin = client.post("/Users", json={"userName": "bob", "externalId": "00u1"})
    user = f"/Users/{made.json()['id']}"
    tag = made.headers["etag"]
    unchanged = client.get(user, headers={"if-none-match": tag})
    stale = client.put(user, json={"userName": "ada"}, headers={"if-match": 'W/"99"'})
    found = client.get("/Users", params={"filter": 'userName eq "Ada" and not (active eq false)'})
    nonsense = client.get("/Users", params={"filter": "userName is ada"})
    foreign = client.get("/Groups")
    nobody = client.get("/Users", headers={"authorization": "Bearer nobody"})
    facts = {
        "a new user is told where it is": made.headers.get("location") == made.json()["meta"]["location"],
        "the version stands in the header and in meta": tag == made.json()["meta"]["version"],
        "a user name is unique in any capitals": (again.status_code, again.json().get("scimType")) == (409, "uniqueness"),
        "an external id is unique": (twin.status_code, twin.json().get("scimType")) == (409, "uniqueness"),
        "what the client has is not sent again": (unchanged.status_code, unchanged.text) == (304, ""),
        "a change of another version is refused": stale.status_code == 412,
        "a filter finds": (found.json()["totalResults"], found.json()["Resources"][0]["userName"]) == (1, "ada"),
        "a filter that is none is refused": (nonsense.status_code, nonsense.json().get("scimType")) == (400, "invalidFilter"),
        "what is not there is told so": foreign.status_code == 404,
        "nobody comes in without a key": nobody.status_code == 401,
    }
    replies = [made, again, twin, stale, found, nonsense, foreign, nobody]
    facts["every reply is of SCIM's type"] = all(reply.headers["content-type"] == TYPE for reply in replies)
    errors = [reply for reply in replies if reply.status_code >= 400]
    facts["every error says its status as a text"] = all(e.json()["status"] == str(e.status_code) for e in errors)
    return [(held, fact) for fact, held in facts.items()]


def run(program: str) -> bool:
    with started(program) as product:
        headers = {"authorization": f"Bearer {product['key']}", "content-type": TYPE}
        with httpx2.Client(base_url=f"{product['url']}/scim/v2", headers=headers, timeout=30) as client:
            results = checked(client) + relied_on(client)
    for held, what in results:
        print("ok    " if held else "FAILED", what)
    failed = sum(not held for held, _ in results)
    print(f"{len(results)} checks, {failed} failed")
    # The checker stops early where it finds no description of the server.
    return failed == 0 and len(results) > 50


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1]))
