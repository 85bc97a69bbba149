"""`imgcls.toml`: defaults for flags, one table for each verb. What the command line says wins.

The file is looked for in the working folder only, so that what holds is beside what it holds for. It may be a
stranger's: it is read as data, a path in it is a path and nothing more, and what opens a door has to be typed.
"""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from imgcls._checks import did_you_mean
from imgcls.cli._app import flags_of
from imgcls.errors import ConfigurationError

FILE = Path("imgcls.toml")
_TYPED_ONLY = {
    "trust": "it lets a model file run code. A file that lies in a folder must not say whom you trust.",
    "host": "it can open the server to other machines.",
}


def take_defaults(context: typer.Context, file: Path | None) -> None:
    """Make what a file says the defaults of the verbs.

    Args:
        context: The app's, before a verb is read.
        file: None for `imgcls.toml` in the working folder, if it is there.

    Raises:
        ConfigurationError: The file cannot be read, or says what no verb or flag knows or takes; all of it at once.
    """
    if file is None and not FILE.exists():
        return
    file = FILE if file is None else file
    tables = _read(file)
    verbs = _verbs(context)
    found = [problem for name, table in tables.items() for problem in _problems(name, table, verbs, context)]
    if found:
        raise ConfigurationError("\n".join(f"{file}: {problem}" for problem in found))
    context.default_map = {
        name: {flags_of(verbs[name])[key].name: _as_typed(value) for key, value in table.items()}
        for name, table in tables.items()
    }
    taken = tables.get(context.invoked_subcommand or "", {})
    if taken:
        typer.echo(
            f"defaults from {file}: {', '.join(f'{key} = {_shown(value)}' for key, value in taken.items())}", err=True
        )


def _read(file: Path) -> dict[str, Any]:
    accepted = "Accepted: a TOML file with a table for each verb, such as [train], and in it lines such as epochs = 10."
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        message = f"{str(file)!r} {what}. {accepted}"
        raise ConfigurationError(message)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        message = f"{file} cannot be read: {error}. {accepted}"
        raise ConfigurationError(message) from None


def _problems(name: str, table: Any, verbs: dict[str, Any], context: typer.Context) -> Iterator[str]:
    if name not in verbs:
        yield f"[{name}] is no verb.{did_you_mean(name, verbs)} Accepted: {', '.join(verbs)}."
        return
    if not isinstance(table, dict):
        yield f"{name} = {_shown(table)} is no table. Write [{name}] in a line of its own, and its flags below."
        return
    flags = flags_of(verbs[name])
    for key, value in table.items():
        if key not in flags:
            accepted = ", ".join(one for one in flags if one not in _TYPED_ONLY)
            yield f"[{name}] {key} is no flag of it.{did_you_mean(key, flags)} Accepted: {accepted}."
        elif key in _TYPED_ONLY:
            yield f"[{name}] {key} is not taken from a file: {_TYPED_ONLY[key]} Type --{key} where you mean it."
        elif refused := _refused(value, flags[key], context):
            yield f"[{name}] {key} = {_shown(value)} is not accepted. Accepted: {refused}."


def _verbs(context: typer.Context) -> dict[str, Any]:
    verbs: dict[str, Any] = getattr(context.command, "commands", {})
    return dict(sorted(verbs.items()))


def _refused(value: Any, option: Any, context: typer.Context) -> str | None:
    """Return what is accepted in place of a value, or None where it is accepted itself."""
    if getattr(option, "is_flag", False):
        return None if isinstance(value, bool) else "true or false"
    values = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in values):
        return 'a list of texts, such as ["set"]' if option.multiple else "a text in quotes, or a number"
    if option.multiple and not isinstance(value, list):
        return f"a list, such as [{_shown(value)}]"
    try:
        option.process_value(context, _as_typed(value))
    except typer.BadParameter as error:
        return f"what `--{option.opts[0].lstrip('-')}` takes ({error.message})"
    return None


def _as_typed(value: Any) -> Any:
    """Return a value as the command line has it: text, except that a flag without a value is on or off."""
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if isinstance(value, bool) else str(value)


def _shown(value: Any) -> str:
    """Return a value as TOML writes it, which for what flags take is what JSON writes."""
    return json.dumps(value, ensure_ascii=False, default=str)
