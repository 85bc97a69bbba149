"""The app, the kinds of arguments and flags that several verbs take, and how their words are read."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from imgcls import _checks
from imgcls.errors import ConfigurationError

app = typer.Typer(
    name="imgcls",
    help="Turn labelled images into a classifier you can trust.\n\nExample: imgcls demo",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 errors in the data (check), 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_QUOTES = "'\""
_ARGUMENT = re.compile(  # what is quoted is found first, and so not looked into
    r"""(?<!\w)(?:'[^'\n]*'|"[^"\n]*")|(?<!\S)(?P<name>[a-z_]+)=(?P<value>'[^'\n]*'|"[^"\n]*"|[-+.\w]*\w)(?=[\s.,;:]|$)"""
)

Data = Annotated[Path, typer.Argument(help="A folder with class sub-folders, or a .csv file.")]
Image = Annotated[str | None, typer.Option(help="Of a .csv file: the column of image paths; else `image`.")]
Label = Annotated[str | None, typer.Option(help="Of a .csv file: the column of labels; else `label`.")]
Root = Annotated[Path | None, typer.Option(help="Of a .csv file: what its paths are relative to; else its folder.")]
Json = Annotated[bool, typer.Option("--json/--no-json", show_default=False, help="Print the result as JSON on stdout.")]
Verbose = Annotated[str, typer.Option(help="Progress on stderr: 0 nothing, 1 a live bar, 2 a line an epoch, or auto.")]
OnError = Annotated[str, typer.Option(help="Unreadable images: skip names and leaves out, raise refuses.")]
Model = Annotated[Path, typer.Argument(help="A bundle that `imgcls train` or ImageClassifier.save wrote.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="You trust who made the file: a SavedModel, a .keras file, or a model of someone's own can run code.",
    ),
]
AnyModel = Annotated[Path, typer.Argument(help="A bundle, or a file that `imgcls export` wrote.")]


def flags_of(verb: Any) -> dict[str, Any]:
    """Return the flags of a verb by the names of the Python arguments: `image_size` for `--image-size`."""
    options = (option for option in verb.params if option.param_type_name == "option")
    return {max(option.opts, key=len).lstrip("-").replace("-", "_"): option for option in options}


def in_flags(message: str, verb: str | None) -> str:
    """Write arguments of Python as they are typed in a shell: `image_size='big'` as `--image-size big`.

    What stands in quotes or in a call is left as it is, and so is what the verb has no flag for; None for any verb.
    """
    verbs: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
    names = {flag for name, one in verbs.items() if verb in {None, name} for flag in flags_of(one)}

    def typed(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]  # None where something is quoted
        before = message[: found.start()]
        if name not in names or value in {"False", "None"} or before.count("(") > before.count(")"):
            return found[0]
        flag = f"--{name.replace('_', '-')}"
        return flag if value == "True" else f"{flag} {shlex.quote(value.strip(_QUOTES))}"

    return _ARGUMENT.sub(typed, message)


def was_typed(context: typer.Context, name: str) -> bool:
    """Say whether a flag stands on the command line; else it has its default, or that of `imgcls.toml`."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def none(text: str) -> str | None:
    return None if text.lower() == "none" else text


def word(argument: str, text: str, names: Sequence[str]) -> str | None:
    """Return one of `names`, or None for "none"."""
    _checks.refuse([_checks.unknown_name(argument, text.lower(), (*names, "none"))])
    return none(text.lower())


def whole(argument: str, text: str) -> int | str:
    if text == "auto" or not text.isdecimal():
        if text != "auto":
            message = f"{argument}={text!r} is not accepted. Accepted: a whole number, or 'auto'."
            raise ConfigurationError(message)
        return text
    return int(text)


def number(argument: str, text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        message = f"{argument}={text!r} is not accepted. Accepted: a number, or 'auto'."
        raise ConfigurationError(message) from None


def level_of(verbose: str) -> int | str:
    return int(verbose) if verbose.isdecimal() else verbose
