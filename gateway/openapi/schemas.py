"""JSON schemas (draft 2020-12, as OpenAPI 3.1 has them) of message types.

msgspec can write schemas itself, but not of fields whose default is raw JSON, and it knows no fields that may be left out
by their type and must be given by their meaning (`is_required`).
"""

import inspect
from typing import Any, Final

import msgspec
from msgspec import inspect as types

__all__ = ["Schema", "Schemas"]

Schema = dict[str, Any]

_PREFIX: Final = "#/components/schemas/"
_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_PLAIN: Final[dict[type, Schema]] = {
    types.StrType: {"type": "string"},
    types.BoolType: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    types.AnyType: {},
    types.RawType: {},
}


class Schemas:
    """Collects the schemas of structs, one component per class."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._classes: dict[str, type] = {}

    def refer(self, cls: type[msgspec.Struct]) -> Schema:
        """Give the reference to a struct's component, which is made when it is first asked for."""
        return self._of(types.type_info(cls))

    def _of(self, kind: types.Type) -> Schema:
        match kind:
            case types.Metadata(type=inner, extra_json_schema=extra):
                return {**self._of(inner), **(extra or {})}
            case types.StructType():
                return self._struct(kind)
            case types.IntType():
                return {"type": "integer", **_bounds(kind)}
            case types.FloatType():
                return {"type": "number", **_bounds(kind)}
            case types.ListType(item_type=item):
                return {"type": "array", "items": self._of(item)}
            case types.DictType(value_type=value):
                return {"type": "object", "additionalProperties": self._of(value)}
            case types.UnionType(types=members):
                return {"oneOf": [self._of(member) for member in members]}
            case types.EnumType(cls=cls):
                return {"enum": [member.value for member in cls]}
            case types.LiteralType(values=values):
                return {"enum": list(values)}
            case _:
                return dict(_PLAIN[type(kind)])

    def _struct(self, kind: types.StructType) -> Schema:
        name = kind.cls.__name__
        if self._classes.setdefault(name, kind.cls) is not kind.cls:
            raise ValueError(f"two message types are called {name}")
        if name not in self.components:
            schema = self.components[name] = {}  # there before its fields: they may lead back here
            schema.update(self._object(kind))
        return {"$ref": _PREFIX + name}

    def _object(self, kind: types.StructType) -> Schema:
        schema: Schema = {"type": "object", "properties": {field.encode_name: self._field(field) for field in kind.fields}}
        if doc := inspect.getdoc(kind.cls):
            schema["description"] = " ".join(doc.split())
        if required := [field.encode_name for field in kind.fields if _is_required(field)]:
            schema["required"] = required
        if kind.forbid_unknown_fields:
            schema["additionalProperties"] = False
        return schema

    def _field(self, field: types.Field) -> Schema:
        schema = self._of(field.type)
        # A zero default says no more than that the field may be left out.
        if not _is_required(field) and isinstance(field.default, str | int | float) and field.default:
            schema["default"] = field.default
        return schema


def _is_required(field: types.Field) -> bool:
    extra = field.type.extra if isinstance(field.type, types.Metadata) else None
    return field.required or bool(extra and extra.get("is_required"))


def _bounds(kind: types.IntType | types.FloatType) -> Schema:
    return {word: bound for name, word in _BOUNDS.items() if (bound := getattr(kind, name)) is not None}
