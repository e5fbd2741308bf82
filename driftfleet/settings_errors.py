"""What pydantic refuses in settings, in words for whoever wrote them."""

import difflib
from collections.abc import Callable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from driftfleet.settings import Settings

Location = tuple[int | str, ...]
# What a list looks like, by its key.
_LISTS = {
    "repositories": "[payments/infra]",
    "include": '["envs/*"]',
    "exclude": '["sandbox/**"]',
    "topics": "[terraform]",
    "languages": "[HCL]",
    "local_roots": "[/srv/checkouts]",
    "isolation_shows": "[/opt/corporate]",
    "environment": '["AWS_*"]',
    "var_files": "[eu.tfvars]",
    "backend_config": "[key=eu.tfstate]",
    "not_between": '["22:00-06:00"]',
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path",
}

_WORDS = {
    "value_error": "{error}",
    "string_type": "must be text; a number or a date needs quotes to be text",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have an entry at least",
    "literal_error": "must be {expected}",
    "missing": "is missing",
}


def explain(error: ValidationError, origin: Callable[[Location], str]) -> str:
    """A line for each thing that is wrong; ``origin`` tells where a setting was written."""
    details: list[Any] = list(error.errors(include_input=False, include_url=False))
    return "\n".join(f"{origin(detail['loc'])}: {_explain(detail)}" for detail in details)


def filled(value: Any, annotation: Any = Settings) -> Any:
    """``value`` with empty lists and sections for keys that have nothing after their colon."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not isinstance(value, dict):
            return {} if value is None else value
        fields = annotation.model_fields
        return {
            key: filled(inner, fields[key].annotation) if key in fields else inner
            for key, inner in value.items()
        }
    if get_origin(annotation) is tuple:
        if not isinstance(value, list):
            return [] if value is None else value
        # An entry without anything is no section, but a mistake.
        return [
            inner if inner is None else filled(inner, get_args(annotation)[0]) for inner in value
        ]
    return value


def _explain(detail: Any) -> str:
    location: Location = detail["loc"]
    if detail["type"] != "extra_forbidden":
        # What contradicts itself across sections names them.
        return f"{_place(location)}: {_words(detail)}" if location else _words(detail)
    unknown = str(location[-1])
    valid = _keys_at(location[:-1])
    near = difflib.get_close_matches(unknown, valid, n=1, cutoff=0.4)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    if any(isinstance(part, int) for part in location):
        where = f"'{unknown}' in {_place(location[:-1])}"
    else:
        where = _place(location)
    return f"unknown key {where}{hint} (valid here: {', '.join(sorted(valid))})"


def _place(location: Location) -> str:
    """``'limits.timeout_seconds'``, or ``repositories entry 2``: people count from one."""
    text, indexed, after_entry = "", False, False
    for part in location:
        if isinstance(part, int):
            text += f" entry {part + 1}"
            indexed = after_entry = True
        else:
            text += (", " if after_entry else "." if text else "") + part
            after_entry = False
    return text if indexed else f"'{text}'"


def _words(detail: Any) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    if kind in ("tuple_type", "list_type"):
        return f"must be a list: {_LISTS.get(_key(detail['loc']), '[one, two]')}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys = _keys_at(detail["loc"])
        return "must be a mapping" + (f" (keys: {', '.join(keys)})" if keys else "")
    if kind.partition("_")[0] in _KINDS:
        return f"must be {_KINDS[kind.partition('_')[0]]}"
    return str(detail["msg"]).replace("Input should be", "must be")


def _key(location: Location) -> str:
    return next((part for part in reversed(location) if isinstance(part, str)), "")


def _keys_at(location: Location) -> list[str]:
    """The keys that are valid where ``location`` points, through nested models and lists."""
    model: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part)
        found = model_in(field.annotation) if field else None
        if found is None:
            return []
        model = found
    return list(model.model_fields)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a setting's type is, or holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := model_in(inner):
            return found
    return None
