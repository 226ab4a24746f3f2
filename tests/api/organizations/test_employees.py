"""Employees and their assigned conversations."""

import json
import time
from typing import Any

import httpx2
from sqlalchemy import text

from harness.shop import Shop, faults_of

SEND = "/api/send-message-to-customer-thread"
ASSIGN = "/api/assign-customer-thread"
UNASSIGN = "/api/unassign-customer-thread"


def _get(shop: Shop, path: str, token: str = "", **query: Any) -> Any:
    answer = shop.server.client.get(path, params=query, headers={"token": token or shop.world.token})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _create(shop: Shop, token: str = "", **fields: Any) -> dict[str, Any]:
    answer = shop.post({"name": "Alice Miller", **fields}, path="/api/employees", token=token)
    assert answer.status_code == 200, answer.text
    employee: dict[str, Any] = answer.json()
    return employee


def _post(shop: Shop, path: str, **fields: Any) -> httpx2.Response:
    return shop.post(fields, path=path)


def _listed(shop: Shop, **query: Any) -> list[dict[str, Any]]:
    employees, cursor = [], {}
    while True:
        page = _get(shop, "/api/employees", **query, **cursor)
        employees += page["employees"]
        if page["nextCursor"] is None:
            return employees
        cursor = {"cursor": page["nextCursor"]}


def _assignee(shop: Shop, thread_id: str) -> str | None:
    assignee: str | None = _get(shop, "/api/get-customer-thread-details", customerThreadId=thread_id)["assigneeUserId"]
    return assignee


def _assignments(shop: Shop, thread_id: str) -> list[dict[str, Any]]:
    query = "SELECT details FROM events WHERE thread_id = :id AND type = 'assignment' ORDER BY position"
    return [json.loads(row["details"]) for row in shop.database.rows(query, id=int(thread_id))]


def _audited(shop: Shop, subject: str) -> list[tuple[str, str]]:
    query = "SELECT actor, action FROM audit_entries WHERE subject = :subject ORDER BY id"
    return [(row["actor"], row["action"]) for row in shop.database.rows(query, subject=subject)]


def test_an_employee_is_created_and_listed(shop: Shop) -> None:
    email = shop.somebody()
    before_ms = time.time_ns() // 1_000_000
    made = _create(shop, name="  Alice Miller ", email=email.upper())
    assert before_ms <= made["createdAt"] <= time.time_ns() // 1_000_000
    assert made == {
        "id": made["id"],
        "name": "Alice Miller",
        "email": email,
        "active": True,
        "role": None,
        "businessRoles": [],
        "createdAt": made["createdAt"],
        "deactivatedAt": None,
    }
    nameless = _create(shop, name="Zoë 🛎")
    assert nameless["email"] is None
    listed = _listed(shop, limit=1)
    assert [each for each in listed if each in (made, nameless)] == [made, nameless]
    assert [int(each["id"]) for each in listed] == sorted(int(each["id"]) for each in listed)


def test_an_invalid_employee_is_refused_with_all_errors(shop: Shop) -> None:
    wrong = _post(shop, "/api/employees", name=" ", email="alice")
    assert faults_of(wrong) == {("body", "#/name", "blank"), ("body", "#/email", "invalid_email")}
    wrong = _post(shop, "/api/employees", name="a\nb", email="")
    assert faults_of(wrong) == {("body", "#/name", "invalid_character"), ("body", "#/email", "invalid_email")}
    assert faults_of(_post(shop, "/api/employees")) == {("body", "#/name", "required")}
    assert faults_of(_post(shop, "/api/employees", name="x" * 201)) == {("body", "#/name", "too_long")}


def test_an_address_is_unique_among_active_employees(shop: Shop) -> None:
    email = shop.somebody()
    first = _create(shop, email=email)
    taken = _post(shop, "/api/employees", name="Another", email=email.title())
    assert taken.status_code == 409
    assert email not in taken.text
    other = _create(shop)
    path = f"/api/employees/{other['id']}/update"
    assert _post(shop, path, email=email).status_code == 409
    _create(shop, token=shop.world.globex_token, email=email)
    assert _post(shop, f"/api/employees/{first['id']}/deactivate").status_code == 200
    assert _post(shop, path, email=email).json() == {"result": "ok"}


def test_only_the_given_fields_of_an_employee_change(shop: Shop) -> None:
    made = _create(shop, email=shop.somebody())
    path = f"/api/employees/{made['id']}/update"

    def now() -> dict[str, Any]:
        (found,) = (each for each in _listed(shop) if each["id"] == made["id"])
        return found

    assert _post(shop, path).json() == {"result": "ok"}
    assert now() == made
    assert _post(shop, path, name="Alice Jones", email=None).status_code == 200
    assert now() == made | {"name": "Alice Jones"}
    email = shop.somebody()
    assert _post(shop, path, email=email.upper()).status_code == 200
    assert now() == made | {"name": "Alice Jones", "email": email}
    assert _post(shop, path, email="").status_code == 200
    assert now() == made | {"name": "Alice Jones", "email": None}
    assert faults_of(_post(shop, path, email="x", name="")) == {
        ("body", "#/email", "invalid_email"),
        ("body", "#/name", "blank"),
    }


def test_a_conversation_is_assigned_and_unassigned(shop: Shop) -> None:
    alice, dora = _create(shop)["id"], _create(shop)["id"]
    thread_id, other = shop.send(), shop.send()
    updated_at_ms = shop.thread(thread_id)["updated_at_ms"]
    for employee_id in (alice, int(alice), dora):
        answer = _post(shop, ASSIGN, customerThreadId=thread_id, employeeUserId=employee_id)
        assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
        assert _assignee(shop, thread_id) == str(employee_id)
    assert shop.thread(thread_id)["updated_at_ms"] >= updated_at_ms
    assert shop.thread(thread_id)["status"] == "waiting"
    assert _assignee(shop, other) is None
    listed = _get(shop, "/api/threads", assigneeUserId=dora)["threads"]
    assert [thread["customerThreadId"] for thread in listed] == [thread_id]
    for _ in range(2):
        assert _post(shop, UNASSIGN, customerThreadId=int(thread_id)).json() == {"result": "ok"}
    assert _assignee(shop, thread_id) is None
    assert _assignments(shop, thread_id) == [
        {"employeeUserId": int(alice), "formerEmployeeUserId": None},
        {"employeeUserId": int(dora), "formerEmployeeUserId": int(alice)},
        {"employeeUserId": None, "formerEmployeeUserId": int(dora)},
    ]


def test_a_deactivated_employee_is_assigned_no_conversations(shop: Shop) -> None:
    gone, stays = _create(shop)["id"], _create(shop)["id"]
    threads = [shop.send() for _ in range(3)]
    kept = shop.send()
    for thread_id in threads:
        assert _post(shop, ASSIGN, customerThreadId=thread_id, employeeUserId=gone).status_code == 200
    assert _post(shop, ASSIGN, customerThreadId=kept, employeeUserId=stays).status_code == 200
    for _ in range(2):
        assert _post(shop, f"/api/employees/{gone}/deactivate").json() == {"result": "ok"}
    for thread_id in threads:
        assert _assignee(shop, thread_id) is None
        assert _assignments(shop, thread_id)[1:] == [{"employeeUserId": None, "formerEmployeeUserId": int(gone)}]
    assert _assignee(shop, kept) == stays
    (left,) = (each for each in _listed(shop, active=False) if each["id"] == gone)
    assert left["active"] is False
    assert left["deactivatedAt"] >= left["createdAt"]
    assert gone not in [each["id"] for each in _listed(shop, active=True)]
    assert _post(shop, ASSIGN, customerThreadId=kept, employeeUserId=gone).status_code == 404
    reply = _post(shop, SEND, customerThreadId=kept, text="Hello", employeeUserId=gone)
    assert reply.status_code == 404
    assert len(shop.messages(kept)) == 1
    assert [action for _, action in _audited(shop, f"employee {gone}")] == ["employee.create", "employee.deactivate"]


def test_more_conversations_than_one_transaction_can_release_are_unassigned(shop: Shop) -> None:
    employee_id = _create(shop)["id"]
    thread_ids = [int(shop.send()) for _ in range(3)]
    first = thread_ids[0]
    # 250 more like the first, made in the tables: sending each would take its time.
    ids = range(first + 10**10, first + 10**10 + 250)
    threads = [shop.thread(str(first)) | {"id": id_, "customer_id": id_} for id_ in ids]
    customers = [{"organization_id": int(shop.world.acme), "id": id_, "created_at_ms": 1} for id_ in ids]
    thread_ids += ids
    assignments = [
        {
            "organization_id": int(shop.world.acme),
            "thread_id": id_,
            "employee_id": int(employee_id),
            "assigned_at_ms": 1,
        }
        for id_ in thread_ids
    ]
    with shop.database.connection() as connection:
        for table, rows in (("customers", customers), ("threads", threads), ("assignments", assignments)):
            names, values = ", ".join(rows[0]), ", ".join(f":{name}" for name in rows[0])
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)
    assert _post(shop, f"/api/employees/{employee_id}/deactivate").status_code == 200
    left = "SELECT count(*) FROM assignments WHERE employee_id = :id"
    assert shop.database.value(left, id=int(employee_id)) == 0
    told = "SELECT count(*) FROM events WHERE type = 'assignment' AND details LIKE :former"
    assert shop.database.value(told, former=f'%"formerEmployeeUserId": {employee_id}}}') == len(thread_ids)


def test_replies_and_notes_name_their_employee(shop: Shop) -> None:
    employee_id, thread_id = _create(shop)["id"], shop.send()
    for internal in (False, True):
        answer = _post(
            shop, SEND, customerThreadId=thread_id, text="Hello", internal=internal, employeeUserId=int(employee_id)
        )
        assert answer.status_code == 200
    listed = _get(shop, f"/api/threads/{thread_id}/messages")["messages"]
    assert [message["employeeUserId"] for message in listed] == [None, employee_id, employee_id]


def test_another_organizations_employees_and_conversations_are_not_found(shop: Shop) -> None:
    bob = _create(shop, token=shop.world.globex_token, name="Bob")["id"]
    globex = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    thread_id, alice = shop.send(), _create(shop)["id"]
    answers = [
        *(_post(shop, ASSIGN, customerThreadId=thread_id, employeeUserId=id_) for id_ in (bob, "1")),
        *(_post(shop, ASSIGN, customerThreadId=id_, employeeUserId=alice) for id_ in (globex, "1")),
        *(_post(shop, UNASSIGN, customerThreadId=id_) for id_ in (globex, "1")),
        *(_post(shop, f"/api/employees/{id_}/update", name="x") for id_ in (bob, "1", "alice")),
        *(_post(shop, f"/api/employees/{id_}/deactivate") for id_ in (bob, "1", "alice")),
        *(_post(shop, SEND, customerThreadId=thread_id, text="x", employeeUserId=id_) for id_ in (bob, "1")),
    ]
    assert {(answer.status_code, answer.json()["developerMessage"]) for answer in answers} == {
        (404, "Resource not found")
    }
    assert bob not in [each["id"] for each in _listed(shop)]
    (still,) = _get(shop, "/api/employees", token=shop.world.globex_token, active=True)["employees"][-1:]
    assert (still["id"], still["name"]) == (bob, "Bob")


def test_creating_and_changing_an_employee_is_audited(shop: Shop) -> None:
    made = _create(shop)
    _post(shop, f"/api/employees/{made['id']}/update", name="Alice Jones")
    _post(shop, f"/api/employees/{made['id']}/deactivate")
    actor = f"token {shop.world.token_id}"
    actions = ["employee.create", "employee.update", "employee.deactivate"]
    assert _audited(shop, f"employee {made['id']}") == [(actor, action) for action in actions]


def test_the_command_line_creates_changes_and_deactivates_employees(shop: Shop) -> None:
    installation, email = shop.server.installation, shop.somebody()
    made = installation.cli("employee", "create", "--organization", shop.world.acme, "Alice", "--email", email.upper())
    assert (made["name"], made["email"], made["active"]) == ("Alice", email, True)
    thread_id = shop.send()
    assert _post(shop, ASSIGN, customerThreadId=thread_id, employeeUserId=made["id"]).status_code == 200
    changed = installation.cli("employee", "update", made["id"], "--name", "Alice Jones", "--email", "")
    assert changed == made | {"name": "Alice Jones", "email": None}
    assert changed in installation.cli("employee", "list", "--organization", shop.world.acme)
    assert changed not in installation.cli("employee", "list", "--organization", shop.world.globex)
    left = installation.cli("employee", "deactivate", made["id"])
    assert left == changed | {"active": False, "deactivatedAt": left["deactivatedAt"]}
    assert _assignee(shop, thread_id) is None
    assert [actor for actor, _ in _audited(shop, f"employee {made['id']}")] == ["command line"] * 3
    for arguments, said in (
        (("create", "--organization", shop.world.acme, " ", "--email", "alice"), ["the name", "the email address"]),
        (("create", "--organization", "1", "Alice"), ["there is no organization 1"]),
        (("update", made["id"]), ["nothing to change"]),
        (("update", "1", "--name", "x"), ["there is no employee 1"]),
        (("deactivate", "1"), ["there is no employee 1"]),
    ):
        done = installation.run("employee", *arguments)
        assert done.returncode == 1
        for words in said:
            assert words in done.stderr
