"""`ols evaluate`: existing weights on a data set."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markup import escape

from ols_core.checks import check_choice, invalid
from ols_core.cli.common import Root, check_writable, errors, output
from ols_core.cli.tables import summary_table
from ols_core.config import Device, Precision
from ols_core.runs import DEFAULT_ROOT

__all__ = ["evaluate_verb"]


def evaluate_verb(
    model: Annotated[str, typer.Option(help="resnet20, timm:NAME, torchvision:NAME, …")],
    weights: Annotated[Path, typer.Option(help=".safetensors, .pth, .pt, .ckpt, .bin or .tar.")],
    data: Annotated[
        str, typer.Option(help="folder:PATH, cifar10, cifar100, fashion-mnist or digits.")
    ],
    split: Annotated[str, typer.Option(help="test, val or train.")] = "test",
    class_names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Class names in the order of the network's outputs, one a line."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run (default: from data, model and file).")
    ] = None,
    method: Annotated[
        str, typer.Option(help="How the weights were trained, for tables: ce, ls, ols, …")
    ] = "custom",
    image_size: Annotated[
        int | None, typer.Option(min=8, help="Side in pixels, if not the published one.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Mean in [0, 1] that the weights were trained with."),
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Standard deviation, likewise.")
    ] = None,
    data_dir: Annotated[
        str, typer.Option(help="Folder that holds the downloaded data sets.")
    ] = "data",
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set if it is absent.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16 or auto.")] = "fp32",
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode images.")] = 2,
    root: Root = DEFAULT_ROOT,
) -> None:
    """Predict a split with existing weights and make a run of it.

    Images in files are resized, cropped and normalised as timm or torchvision publish it for the
    network; small images keep their size. Classes of a folder are in alphabetical order unless
    `--class-names` gives that of the outputs, in which it may name more classes than the folder
    has, and begin each line with a folder's name (`n01440764 tench`).

    **Examples**

    `ols evaluate --model timm:resnet18 --weights best.pth.tar --data folder:imagenet/val`

    `ols evaluate --model resnet34 --weights model_best.pth.tar --data cifar100 --method ols`

    `ols evaluate --model torchvision:mobilenet_v2 --weights w.pth --data folder:my/images
    --class-names names.txt`
    """
    check_writable(root)
    check_choice("--device", device, ("auto", "cpu", "cuda", "mps"))
    check_choice("--precision", precision, ("auto", "fp32", "bf16", "fp16"))
    # Torch takes seconds to import: the other verbs do without it.
    from ols_core.evaluation import evaluate

    with output.status(f"{model} on {data} …"):
        run = evaluate(
            model,
            weights,
            data,
            split=split,
            class_names=class_names,
            name=name,
            root=root,
            method=method,
            data_dir=data_dir,
            download=download,
            image_size=image_size,
            mean=_numbers("--mean", mean),
            std=_numbers("--std", std),
            device=cast(Device, device),
            precision=cast(Precision, precision),
            workers=workers,
            notify=lambda sentence: errors.print(f"[yellow]{escape(sentence)}[/]", highlight=False),
        )
    output.print(summary_table(run.info.summary))
    output.print(f"Written to {run.path}", highlight=False)
    if split != "test":
        line = _where_shown(data, split)
        errors.print(f"[yellow]{escape(line)}[/]", soft_wrap=True, highlight=False)


def _where_shown(data: str, split: str) -> str:
    """Say that the pages are about another split, and how these images can take its place."""
    line = f"The pages show the test split; these predictions are stored as {split}"
    kind, _, path = data.partition(":")
    if kind != "folder":
        return f"{line}, and only the page Embeddings can show that split."
    folder = Path(path) / split
    shown = shlex.quote(f"folder:{folder if folder.is_dir() else path}")
    return f"{line}. To see these, evaluate with --data {shown} --split test under another --name."


def _numbers(option: str, text: str | None) -> list[float] | None:
    """Numbers separated by commas."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise invalid(option, "numbers separated by commas", text) from None
