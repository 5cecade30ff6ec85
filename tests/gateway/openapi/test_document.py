"""The document against the running methods: every example is called, every answer is held against its schema."""

import re
from typing import Any

import pytest

from broker.notification import Provider
from gateway.api.errors import STATUS_BY_CODE
from gateway.api.method import Method
from gateway.openapi.document import openapi_document
from gateway.openapi.examples import EXAMPLES
from gateway.openapi.further_examples import FURTHER_EXAMPLES

# What has to be there before, by the calls that bring it; their id is then that of the example.
BEFORE = {
    "history": "publish",
    "notification_ack": "notify",
    "notification_seen": "notify",
    "notification_read": "notify",
    "notification_dismissed": "notify",
    "notification_clicked": "notify",
    "notification_cancel": "notify",
    "notification_status": "notify",
    "notification_statistics": "notify",
    "notification_clicks": "notify",
    "topic_list": "topic_subscribe",
    "topic_members": "topic_subscribe",
    "topic_unsubscribe": "topic_subscribe",
    "topic_remove": "topic_subscribe",
    "campaign_status": "campaign_create",
    "campaign_list": "campaign_create",
    "campaign_update": "campaign_create",
    "campaign_pause": "campaign_create",
    "campaign_resume": "campaign_create",
    "campaign_cancel": "campaign_create",
    "inbox_list": "notify",
    "inbox_counts": "notify",
    "inbox_mark": "notify",
    "audit_search": "template_put",
    "audit_verify": "template_put",
    "template_get": "template_put",
    "template_list": "template_put",
    "template_remove": "template_put",
    "template_rollback": "template_put",
    "api_key_rotate": "api_key_create",
    "api_key_revoke": "api_key_create",
    "api_key_list": "api_key_create",
    "role_remove": "role_set",
    "role_list": "role_set",
    "role_assign": "role_set",
    "policy_get": "policy_set",
    "policy_list": "policy_set",
    "policy_rollback": "policy_set",
    "override_list": "override_set",
    "override_remove": "override_set",
    "device_list": "device_register",
    "device_remove": "device_register",
    "preferences_get": "preferences_set",
}
# These differ from node to node; an example gives only their kind.
VARYING = {"id", "epoch", "uid", "client", "version", "pid", "uptime", "token", "offset", "num_channels", "num_subs"}
VARYING |= {"size_bytes", "key"}
VARYING |= {"hash", "address_digest", "correlation_id", "head", "time"}
MOMENTS = {"created_at", "expires_at", "registered_at", "connected_at_ms", "starts_at", "subscribed_at"}
MOMENTS |= {"from", "to", "counted_at", "set_at"}
KEYED_BY_ID = {"presence", "connections"}
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def complaints(document: Any, schema: Any, value: Any, where: str = "$") -> list[str]:
    """What a value breaks of a schema, by as much of JSON Schema as the document uses."""
    found: list[str] = []
    if "$ref" in schema:
        found += complaints(document, resolve(document, schema["$ref"]), value, where)
    if "oneOf" in schema:
        fits = [not complaints(document, choice, value, where) for choice in schema["oneOf"]]
        if sum(fits) != 1:
            found.append(f"{where}: fits {sum(fits)} of {len(fits)} choices")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: is not {schema['const']}")
    if "type" in schema:
        is_kind = isinstance(value, KINDS[schema["type"]]) and not (isinstance(value, bool) and schema["type"] != "boolean")
        if not is_kind:
            return [*found, f"{where}: is no {schema['type']}"]
    if schema.get("minimum", value) > value if isinstance(value, int | float) else False:
        found.append(f"{where}: is below {schema['minimum']}")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [f"{where}: lacks {name}" for name in schema.get("required", ()) if name not in value]
        for name, member in value.items():
            rule = known.get(name, schema.get("additionalProperties", {}))
            found += [f"{where}: has {name}"] if rule is False else complaints(document, rule, member, f"{where}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += complaints(document, schema.get("items", {}), item, f"{where}[{index}]")
    return found


def resolve(document: Any, reference: str) -> Any:
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def differences(example: Any, actual: Any, name: str = "$") -> list[str]:
    """Where an answer is not as the example says."""
    if name in MOMENTS and not isinstance(example, str):  # quiet hours have times of day under these names
        return [] if isinstance(actual, int | float) else [f"{name}: {actual!r}"]
    if type(example) is not type(actual):
        return [f"{name}: {actual!r} instead of {example!r}"]
    if name in KEYED_BY_ID:
        return differences(list(example.values()), list(actual.values()))
    if isinstance(example, dict):
        if example.keys() != actual.keys():
            return [f"{name}: has {sorted(actual)} instead of {sorted(example)}"]
        return [entry for key in example for entry in differences(example[key], actual[key], key)]
    if isinstance(example, list):
        if len(example) != len(actual):
            return [f"{name}: {len(actual)} instead of {len(example)}"]
        return [entry for pair in zip(example, actual, strict=True) for entry in differences(*pair, name)]
    return [] if name in VARYING or example == actual else [f"{name}: {actual!r} instead of {example!r}"]


def shown(content: Any) -> list[Any]:
    """What stands as examples beside a schema."""
    return [one["value"] for one in content["examples"].values()] if "examples" in content else [content["example"]]


@pytest.mark.parametrize(
    ("method", "number"), [(name, number) for name in EXAMPLES for number in range(1 + len(FURTHER_EXAMPLES.get(name, ())))]
)
async def test_every_example_is_answered_as_it_says(described, method, number):
    document = await described.document()
    operation = document["paths"][f"/api/{method}"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    request = dict(shown(body)[number])
    if method in BEFORE:
        made = (await described.call(BEFORE[method], EXAMPLES[BEFORE[method]].request)).json()["result"]
        if "id" in request:
            request["id"] = made["id"] if "id" in made else made["notifications"][0]["id"]
    if method == "notification_statistics":
        await described.deliver(Provider.SMS)
    assert complaints(document, body["schema"], request) == []
    response = await described.call(method, request)
    assert response.status_code == 200, response.text
    answered = operation["responses"]["200"]["content"]["application/json"]
    assert complaints(document, answered["schema"], response.json()) == []
    assert complaints(document, answered["schema"], shown(answered)[number]) == []
    assert differences(shown(answered)[number], response.json()) == []


async def test_every_method_is_described_and_no_other(described):
    document = await described.document()
    assert set(document["paths"]) == {f"/api/{name}" for name in described.methods}
    assert set(EXAMPLES) == set(described.methods)
    groups = {tag["name"] for tag in document["tags"]}
    for path, item in document["paths"].items():
        operation = item["post"]
        assert path == f"/api/{operation['operationId']}"
        assert set(operation["tags"]) <= groups
        assert operation["summary"].endswith("."), path
        assert "{`" not in operation["summary"]
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"


async def test_every_field_of_a_request_says_what_it_is_for(described):
    document = await described.document()
    silent = []
    for name, item in document["paths"].items():
        schema = resolve(document, item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        assert schema["description"], name
        silent += [f"{name}: {field}" for field, rule in schema["properties"].items() if not rule.get("description")]
    assert silent == []


async def test_every_reference_leads_somewhere(described):
    response = await described.http.get("/api/openapi.json")
    references = set(re.findall(r'"\$ref":"([^"]+)"', response.text))
    document = response.json()
    assert references
    assert all(resolve(document, reference) for reference in references)
    used = {reference.rpartition("/")[2] for reference in references}
    assert used == {*document["components"]["schemas"], *document["components"]["responses"]}


async def test_required_fields_are_those_whose_absence_is_refused(described):
    document = await described.document()
    for name in described.methods:
        schema = document["paths"][f"/api/{name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        required = resolve(document, schema["$ref"]).get("required", [])
        for field in required:
            request = {key: value for key, value in EXAMPLES[name].request.items() if key != field}
            answer = (await described.call(name, request)).json()
            assert answer.get("error", {}).get("code") == 107, (name, field, answer)
            assert field in answer["error"]["message"]


async def test_codes_and_statuses_are_those_of_the_api(described):
    document = await described.document()
    codes = {choice["const"] for choice in document["components"]["schemas"]["ApiError"]["properties"]["code"]["oneOf"]}
    assert codes == set(STATUS_BY_CODE)
    statuses = set(document["paths"]["/api/publish"]["post"]["responses"])
    assert statuses >= {str(status) for status in STATUS_BY_CODE.values()}
    failed = await described.call("publish", {"channel": "unknown:a", "data": 1}, **{"X-Centrifugo-Error-Mode": "transport"})
    bare = document["components"]["responses"][f"Status{failed.status_code}"]["content"]["application/json"]["schema"]
    assert complaints(document, bare, failed.json()) == []


async def test_each_way_to_give_the_key_is_described_as_it_works(described):
    schemes = (await described.document())["components"]["securitySchemes"]
    key = described._key
    for scheme in schemes.values():
        value = f"apikey {key}" if scheme["name"] == "Authorization" else key
        place = "headers" if scheme["in"] == "header" else "params"
        response = await described.http.post("/api/info", json={}, **{place: {scheme["name"]: value}})
        assert response.status_code == 200, scheme


def test_a_method_without_an_example_is_noticed(described_method):
    with pytest.raises(KeyError, match="unheard_of"):
        openapi_document({"unheard_of": described_method}, version="1")


@pytest.fixture
def described_method():
    from gateway.api.messages import EmptyRequest, EmptyResult

    async def handle(_request: EmptyRequest) -> EmptyResult:
        """Do nothing."""
        return EmptyResult()

    return Method("unheard_of", EmptyRequest, handle)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, True),
        ({"type": "integer", "minimum": 0}, -1),
        ({"type": "object", "required": ["a"]}, {}),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {"a": 1}),
        ({"type": "array", "items": {"type": "string"}}, [1]),
        ({"oneOf": [{"type": "string"}, {"type": "string"}]}, "x"),
        ({"$ref": "#/components/n"}, "x"),
        ({"const": 1}, 2),
    ],
)
def test_the_check_of_schemas_complains(schema, value):
    assert complaints({"components": {"n": {"type": "null"}}}, schema, value)
