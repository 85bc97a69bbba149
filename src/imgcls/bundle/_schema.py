"""The part of JSON Schema (draft 2020-12) that `schema.json` uses, with messages that name the place.

Stricter than the standard in one thing: a whole number is written without a point, so that 3.0 is none. Keywords that
are not known here are an error of ours and not silence: a schema must not promise what nobody checks.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from typing import Any, final

from imgcls._checks import did_you_mean, some

_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
_NOTES = frozenset({"$schema", "$id", "$defs", "title", "description"})
_KNOWN = _NOTES | {
    *("$ref", "type", "enum", "const", "anyOf", "pattern", "maxLength", "minimum", "maximum", "exclusiveMinimum"),
    *("items", "prefixItems", "minItems", "maxItems"),
    *("properties", "required", "additionalProperties", "propertyNames", "maxProperties"),
}

Schema = Mapping[str, Any]


@final
class Validator:
    """Says what is wrong with a value.

    Args:
        schema: A schema whose references all lead to its own `$defs`.

    Examples:
        >>> from imgcls.bundle._schema import Validator
        >>> validator = Validator({"properties": {"classes": {"items": {"type": "string", "maxLength": 9}}}})
        >>> validator.problem({"classes": ["cat", 3]})
        'classes[1] is 3; accepted: text of at most 9 characters'
    """

    def __init__(self, schema: Schema) -> None:
        self._schema, self._definitions = schema, schema.get("$defs", {})
        for one in _inner(schema):
            unknown = set(one) - _KNOWN if "$ref" not in one else set(one) - {"$ref"}
            if unknown:
                message = f"the schema uses {some(sorted(unknown))} where this validator does not know it"
                raise ValueError(message)

    def problem(self, value: Any, *, of: str = "") -> str | None:
        """Return the first thing that is wrong, with its place; None where nothing is.

        Args:
            value: What JSON can hold.
            of: The property that it is the value of; "" for the whole.
        """
        return self._problem(value, self._schema["properties"][of] if of else self._schema, of)

    def _problem(self, value: Any, schema: Schema, place: str) -> str | None:
        schema = self._resolved(schema)
        if "anyOf" in schema and None not in map(partial(self._problem, value, place=place), schema["anyOf"]):
            meant = [one for one in schema["anyOf"] if _fits(value, self._resolved(one))]
            # Where one alternative alone is of this kind, it knows best what is wrong.
            return self._problem(value, meant[0], place) if len(meant) == 1 else self._refusal(value, schema, place)
        if not _fits(value, schema):
            return self._refusal(value, schema, place)
        if isinstance(value, list):
            return self._problem_of_items(value, schema, place)
        if isinstance(value, dict):
            return self._problem_of_members(value, schema, place)
        return None

    def _problem_of_items(self, value: list[Any], schema: Schema, place: str) -> str | None:
        first = schema.get("prefixItems", ())
        pairs = [*zip(value, first, strict=False)]
        if "items" in schema:
            pairs += [(one, schema["items"]) for one in value[len(first) :]]
        found = (self._problem(one, inner, f"{place}[{index}]") for index, (one, inner) in enumerate(pairs))
        return next((one for one in found if one is not None), None)

    def _problem_of_members(self, value: dict[str, Any], schema: Schema, place: str) -> str | None:
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        where = f"{place}." if place else ""
        for name in schema.get("required", ()):
            if name not in value:
                return f"{place or 'it'} lacks {name!r}"
        for name, one in value.items():
            if "propertyNames" in schema and self._problem(name, schema["propertyNames"], "") is not None:
                return f"{place} has the key {name[:60]!r}; accepted: {self._accepted(schema['propertyNames'])}"
            if name in known:
                found = self._problem(one, known[name], where + name)
            elif others is False:
                near = did_you_mean(name[:60], known)
                return (
                    f"{place or 'it'} has the unknown key {name[:60]!r}.{near} Accepted: {', '.join(known) or 'none'}"
                )
            else:
                found = None if others is None else self._problem(one, others, f"{place}[{name[:60]!r}]")
            if found is not None:
                return found
        return None

    def _resolved(self, schema: Schema) -> Schema:
        """Return what a reference stands for; beside it there is nothing."""
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
        return schema

    def _refusal(self, value: Any, schema: Schema, place: str) -> str:
        return f"{place or 'the whole'} is {_shown(value)}; accepted: {self._accepted(schema)}"

    def _accepted(self, schema: Schema) -> str:
        """Return in words what a schema accepts: its own description, or else what follows from its keywords."""
        schema = self._resolved(schema)
        if "description" in schema:
            return str(schema["description"])
        if "const" in schema or "enum" in schema:
            return some([json.dumps(one) for one in schema.get("enum", [schema.get("const")])], most=20).replace(
                "'", ""
            )
        if "anyOf" in schema:
            return ", or ".join(self._accepted(one) for one in schema["anyOf"])
        kinds = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type", "object")]
        return " or ".join(_WORDS[kind] for kind in kinds) + _limits(schema)


@cache
def description() -> Validator:
    """Return what checks `classifier.json`, from the schema that lies beside this file."""
    text = resources.files("imgcls.bundle").joinpath("schema.json").read_text(encoding="utf-8")
    return Validator(json.loads(text))


def _fits(value: Any, schema: Schema) -> bool:
    """Say whether a value by itself is accepted, whatever it holds."""
    kinds = schema.get("type")
    if kinds is not None and not any(_TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if "const" in schema and not _same(value, schema["const"]):
        return False
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        return False
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            return False
        return "pattern" not in schema or re.search(schema["pattern"], value) is not None
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = schema.get("minimum", value) <= value <= schema.get("maximum", value)
        return bool(inside and value > schema.get("exclusiveMinimum", -math.inf))
    if isinstance(value, list):
        return bool(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)))
    return not isinstance(value, dict) or len(value) <= schema.get("maxProperties", len(value))


def _same(value: Any, other: Any) -> bool:
    """Compare as JSON does, where 1 is not true."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _limits(schema: Schema) -> str:
    """Return in words how much is accepted."""
    words = [
        f"from {schema['minimum']:,}" if "minimum" in schema else "",
        f"above {schema['exclusiveMinimum']:,}" if "exclusiveMinimum" in schema else "",
        f"up to {schema['maximum']:,}" if "maximum" in schema else "",
        f"of at most {schema['maxLength']:,} characters" if "maxLength" in schema else "",
        f"of at least {schema['minItems']:,}" if "minItems" in schema else "",
        f"of at most {schema['maxItems']:,}" if "maxItems" in schema else "",
        f"of at most {schema['maxProperties']:,} keys" if "maxProperties" in schema else "",
        f"that matches {schema['pattern']}" if "pattern" in schema else "",
    ]
    return "".join(f" {one}" for one in words if one)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    if isinstance(value, dict):
        return f"an object of {len(value):,} keys"
    text = json.dumps(value[:60] if isinstance(value, str) else value, ensure_ascii=True)
    return text if not isinstance(value, str) or len(value) <= 60 else f"{text} and {len(value) - 60:,} characters more"


def _inner(schema: Schema) -> list[Schema]:
    """Return a schema and all schemas in it."""
    found = [schema]
    for key in ("items", "additionalProperties", "propertyNames"):
        found += _inner(schema[key]) if isinstance(schema.get(key), dict) else []
    for key in ("properties", "$defs"):
        found += [inner for one in schema.get(key, {}).values() for inner in _inner(one)]
    for key in ("prefixItems", "anyOf"):
        found += [inner for one in schema.get(key, ()) for inner in _inner(one)]
    return found
