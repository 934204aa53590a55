"""Command-line flags of `TrainConfig`, made from its fields: one source of names and help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import typer

from ols_core.config import TrainConfig

__all__ = ["config_options"]


def config_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb one flag for each field of `TrainConfig`.

    The verb receives those that were typed as its first parameter, a dict; what was not typed is
    left to the configuration file and the defaults.
    """
    signature = inspect.signature(verb)
    own = list(signature.parameters.values())[1:]
    own_types = get_type_hints(verb, include_extras=True)

    @functools.wraps(verb)
    def wrapper(**values: Any) -> None:
        typed = {name: values.pop(name) for name in TrainConfig.model_fields}
        verb({k: v for k, v in typed.items() if v is not None}, **values)

    flags = [_flag(name) for name in TrainConfig.model_fields]
    parameters = [
        *flags,
        *(p.replace(kind=p.KEYWORD_ONLY, annotation=own_types[p.name]) for p in own),
    ]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    return wrapper


def _flag(name: str) -> inspect.Parameter:
    field = TrainConfig.model_fields[name]
    text = field.description or ""
    if field.default is not None and field.annotation is not bool and field.default:
        text += f" Default: {field.default}."
    flag = f"--{name.replace('_', '-')}"
    if field.annotation is bool and field.default:
        flag = f"{flag}/--no-{flag[2:]}"
    typed: Any = str if get_origin(field.annotation) in (dict, tuple) else field.annotation
    # The texts name the choices; a list of them beside the flag would leave no room for the texts.
    metavar = "NAME" if get_origin(typed) is Literal else None
    option = typer.Option(flag, help=text, show_default=False, metavar=metavar)
    # None stands for "not typed"; limits are checked by TrainConfig, with its own words.
    kind = Annotated[typed | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
