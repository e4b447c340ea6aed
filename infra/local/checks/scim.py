"""Checks SCIM 2.0 (`/scim/v2`) against the RFCs with scim2-tester and scim2-client.

    cargo build --workspace && python infra/local/checks/scim.py target/debug/handset

Starts the program on a free port. scim2-tester checks everything that the server announces: discovery, and creating,
reading, listing, searching, replacing and deleting users, and patching each attribute. Then this script checks what
identity providers need and scim2-tester does not cover: versions, uniqueness and errors.

Prints a line for each check; the exit status is 1 if a check failed, or if there were too few.
"""

import sys

import httpx2
from product import started
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

FAILED = {Status.DEVIATION, Status.ERROR, Status.CRITICAL}
TYPE = "application/scim+json"


def checked(client: httpx2.Client) -> list[tuple[bool, str]]:
    """Returns the results of scim2-tester. A skipped check counts as failed, because all of them apply here."""
    results = check_server(SyncSCIMClient(client))
    failed = FAILED | {Status.SKIPPED}
    return [(result.status not in failed, f"{result.title}: {result.reason or result.status.name}") for result in results]


def relied_on(client: httpx2.Client) -> list[tuple[bool, str]]:
    """Checks what scim2-tester does not cover."""
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
        "the reply to a new user has its location": made.headers.get("location") == made.json()["meta"]["location"],
        "the header and meta have the same version": tag == made.json()["meta"]["version"],
        "a user name is unique, ignoring case": (again.status_code, again.json().get("scimType")) == (409, "uniqueness"),
        "an external id is unique": (twin.status_code, twin.json().get("scimType")) == (409, "uniqueness"),
        "an unchanged user is not sent again": (unchanged.status_code, unchanged.text) == (304, ""),
        "a change to another version is refused": stale.status_code == 412,
        "a filter finds a user": (found.json()["totalResults"], found.json()["Resources"][0]["userName"]) == (1, "ada"),
        "an invalid filter is refused": (nonsense.status_code, nonsense.json().get("scimType")) == (400, "invalidFilter"),
        "an unsupported resource type is not found": foreign.status_code == 404,
        "an invalid key is refused": nobody.status_code == 401,
    }
    replies = [made, again, twin, stale, found, nonsense, foreign, nobody]
    facts["every reply has the media type of SCIM"] = all(reply.headers["content-type"] == TYPE for reply in replies)
    errors = [reply for reply in replies if reply.status_code >= 400]
    facts["every error has its status as a string"] = all(e.json()["status"] == str(e.status_code) for e in errors)
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
    # scim2-tester stops early, with few results, if it cannot read the server's discovery endpoints.
    return failed == 0 and len(results) > 50


if __name__ == "__main__":
    sys.exit(not run(sys.argv[1]))
