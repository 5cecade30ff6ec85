"""The OpenAPI 3.1 document, made from the table of methods, their types and their docstrings."""

import inspect
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.api.endpoint import PREFIX
from gateway.api.errors import STATUS_BY_CODE, ApiError
from gateway.api.explained import API_ERRORS
from gateway.api.messages import BatchResult
from gateway.api.method import Method, Methods
from gateway.openapi.examples import EXAMPLES, Example
from gateway.openapi.further_examples import FURTHER_EXAMPLES
from gateway.openapi.schemas import Schema, Schemas
from gateway.protocol.error_classes import Explained

__all__ = ["openapi_document"]

_INTRODUCTION: Final = (
    "Every method is a POST with a JSON object. A call that was understood answers 200 and holds either `result` or `error`; "
    "with the header `X-Centrifugo-Error-Mode: transport`, or where the settings say so, a failed one answers with the "
    "HTTP status of its code and the bare error object. An `X-Request-ID` is given back and stands in the logs."
)
_SECURITY_SCHEMES: Final = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "authorization": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The word `apikey`, a blank, and the key.",
    },
    "query": {"type": "apiKey", "in": "query", "name": "api_key", "description": "Stands in logs of proxies: last resort."},
}
# Status → what it means, and whether transport error mode gives it to failed calls.
_STATUSES: Final[Mapping[int, tuple[str, bool]]] = {
    400: ("The body is no JSON object, or a field has a wrong type.", True),
    401: ("The key is missing or wrong.", False),
    403: ("The key may not make this call.", True),
    404: ("The path names no method.", True),
    405: ("Not a POST.", False),
    409: ("Conflict.", True),
    413: ("The body is larger than `http_api.body_size_limit`.", False),
    416: ("The position asked for cannot be recovered.", True),
    429: ("Too many calls: wait for `Retry-After` seconds where it is given.", True),
    500: ("Something on this side failed.", True),
    503: ("The store or the engine does not answer: try again later, after `Retry-After` seconds where it is given.", True),
}
_EVERYWHERE: Final = (400, 401, 404, 405, 413, 503)
_IN_ERROR_MODE: Final = (403, 409, 416, 429, 500)


def openapi_document(methods: Methods, *, version: str) -> bytes:
    """Write the document as JSON; every method of the table is in it.

    Raises:
        KeyError: A method has no example.
    """
    schemas = Schemas()
    error = schemas.refer(ApiError)
    paths = {f"{PREFIX}{method.name}": {"post": _operation(method, schemas)} for method in methods.values()}
    schemas.components["ApiError"]["properties"]["code"] |= {"oneOf": [_described(known) for known in API_ERRORS.values()]}
    schemas.components["Failure"] = _wrapper("error", error)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "heliograph HTTP API", "version": version, "description": _INTRODUCTION},
        "tags": [{"name": group} for group in dict.fromkeys(method.group for method in methods.values())],
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": {f"Status{status}": _refusal(status, error) for status in _STATUSES},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }
    return msgspec.json.encode(document)


def _described(known: Explained) -> Schema:
    text = f"{known.meaning} HTTP {STATUS_BY_CODE[known.code]} in transport error mode."
    return {"const": known.code, "title": known.name, "description": text}


def _operation(method: Method, schemas: Schemas) -> Schema:
    summary, _, details = (inspect.getdoc(method.handle) or "").partition("\n\n")
    requests, answers = _shown(method.name)
    operation = {
        "operationId": method.name,
        "tags": [method.group],
        "summary": " ".join(summary.split()),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schemas.refer(method.request), **requests}},
        },
        "responses": {
            "200": {
                "description": "Understood: what became of it.",
                "content": {"application/json": {"schema": _answer_of(method, schemas), **answers}},
            },
            **{
                str(status): {"$ref": f"#/components/responses/Status{status}"}
                for status in sorted((*_EVERYWHERE, *_IN_ERROR_MODE))
            },
        },
    }
    if details:
        operation["description"] = " ".join(details.split())
    return operation


def _shown(name: str) -> tuple[Schema, Schema]:
    """Tell what stands beside the schemas of a request and of its answer: an example, or several by what they show."""
    first, further = EXAMPLES[name], FURTHER_EXAMPLES.get(name, {})
    if not further:
        return {"example": first.request}, {"example": _answer(name, first)}
    shown = {"A call": first, **further}
    return (
        {"examples": {title: {"value": example.request} for title, example in shown.items()}},
        {"examples": {title: {"value": _answer(name, example)} for title, example in shown.items()}},
    )


def _answer(name: str, example: Example) -> Any:
    if name == "batch":
        return example.result  # its replies stand at the top
    return {"error" if example.is_failure else "result": example.result}


def _answer_of(method: Method, schemas: Schemas) -> Schema:
    result = typing.get_type_hints(method.handle)["return"]
    if result is BatchResult:
        return schemas.refer(result)  # its replies stand at the top
    return {"oneOf": [_wrapper("result", schemas.refer(result)), {"$ref": "#/components/schemas/Failure"}]}


def _wrapper(name: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _refusal(status: int, error: Schema) -> Schema:
    text, is_in_error_mode = _STATUSES[status]
    response: Schema = {"description": text}
    if status != 401:  # which has no body
        response["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if is_in_error_mode:
        response["description"] += " In transport error mode also the status of a failed call."
        response["content"]["application/json"] = {"schema": error}
    return response
