"""Names of classes: their check, and their files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ols_core.checks import invalid
from ols_core.errors import DataError

__all__ = ["check_class_names", "distinct_names", "read_class_names"]


def check_class_names(names: Sequence[str]) -> list[str]:
    """Return class names as a list: at least two, none of them empty or twice.

    Raises
    ------
    ArgumentError
        If they are not as described.

    Examples
    --------
    >>> check_class_names(["cat", "dog", "cat"])
    Traceback (most recent call last):
    ...
    ols_core.errors.ArgumentError: class_names[2] must be different from all before it, got 'cat'.
    """
    if isinstance(names, str):
        raise invalid("class_names", "a sequence of names", names)
    found: dict[str, None] = {}
    for position, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise invalid(f"class_names[{position}]", "a text that is not empty", name)
        if name in found:
            raise invalid(f"class_names[{position}]", "different from all before it", name)
        found[name] = None
    if len(found) < 2:
        raise invalid("class_names", "at least 2 names", len(found))
    return list(found)


def distinct_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Number names that occur more than once, as ImageNet's "crane" does.

    Returns
    -------
    names : list of str
        Where a name was not the only one, with its position in brackets.
    notices : list of str
        A sentence about what was changed, if anything was.

    Examples
    --------
    >>> distinct_names(["crane", "cat", "crane"])[0]
    ['crane (0)', 'cat', 'crane (2)']
    """
    repeated = {name for name, n in Counter(names).items() if n > 1}
    numbered = [f"{name} ({i})" if name in repeated else name for i, name in enumerate(names)]
    if not repeated:
        return numbered, []
    shown = ", ".join(sorted(repeated)[:5])
    return numbered, [f"Class names that occur more than once were numbered: {shown}."]


def read_class_names(file: str | Path) -> list[str]:
    """Read one name a class, in the order of the outputs.

    Parameters
    ----------
    file : str or Path
        `.txt` or `.csv` with one name a line (blank lines at the end do not count), or `.json`: a
        list of names, or a mapping from index to a name or to a list of ID and name, as
        ImageNet's `imagenet_class_index.json` is; of these, ID and name are joined by a space.

    Raises
    ------
    DataError
        If the file is absent, of another kind, or not as described; the message names the line.
    """
    path = Path(file)
    if path.suffix not in (".txt", ".csv", ".json"):
        raise DataError(
            f"{path}: class names are read from a .txt, .csv or .json file, got "
            f"{path.suffix or 'no suffix'!r}. A list needs a comma between the names."
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text: {error}.") from None
    if path.suffix == ".json":
        return _from_json(path, text)
    names = [line.strip() for line in text.rstrip().splitlines()]
    if "" in names:
        raise DataError(f"{path}, line {names.index('') + 1}: is empty; expected a class name.")
    return _several(path, names)


def _from_json(path: Path, text: str) -> list[str]:
    expected = "a list of names, or a mapping from 0, 1, … to names"
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    if isinstance(content, dict):
        keys = [str(i) for i in range(len(content))]
        if set(keys) != set(content):
            raise DataError(f"{path}: expected {expected}.")
        content = [content[key] for key in keys]
    if not isinstance(content, list):
        raise DataError(f"{path}: expected {expected}.")
    names = []
    for position, entry in enumerate(content):
        parts = entry if isinstance(entry, list) else [entry]
        if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
            raise DataError(f"{path}, entry {position}: expected a name, got {entry!r}.")
        names.append(" ".join(parts))
    return _several(path, names)


def _several(path: Path, names: list[str]) -> list[str]:
    if len(names) < 2:
        raise DataError(f"{path}: expected the names of at least 2 classes, got {len(names)}.")
    return names
