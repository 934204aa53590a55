"""Class indices of labels that were written as numbers or as names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from ols_core.errors import ArgumentError, DataError
from ols_core.importing._content import Content, File, read_content
from ols_core.importing._scores import find_label_column

__all__ = ["check_largest", "class_indices", "find_labels", "names_of"]

Array = npt.NDArray[Any]
_MOST_CLASSES = 100_000  # that a file may imply by its largest index


def find_labels(content: Content, labels: File | None) -> tuple[Content, str]:
    """Find the true labels: a column of the file, or those of another one.

    Parameters
    ----------
    content : Content
        Of the file with the predictions.
    labels : str, path, stream or None
        Name of a column or array of that file, otherwise a file of labels; None looks for a column
        by its name.

    Returns
    -------
    content : Content
        That holds the labels.
    column : str
        Its column of labels.

    Raises
    ------
    ArgumentError
        If there are no labels, or no column and no file is called so.
    DataError
        If the file of labels cannot be read, or it is not clear what in it they are.
    """
    if labels is None:
        column = find_label_column(content)
        if column is None:
            raise ArgumentError(
                f"{content.file}: no column of true labels was found. Name it with --labels COLUMN "
                f"or give their file with --labels FILE; the file has {content.listed()}."
            )
        return content, column
    if isinstance(labels, str) and labels in content.columns:
        return content, labels
    try:
        other = read_content(labels)
    except DataError:
        if isinstance(labels, str) and "." not in labels:
            raise ArgumentError(
                f"--labels {labels}: {content.file} has no such column, and there is no such file; "
                f"it has {content.listed()}."
            ) from None
        raise
    column = next(iter(other.columns)) if len(other.columns) == 1 else find_label_column(other)
    if column is None:
        raise DataError(
            f"{other.file}: which of these are the labels? It has {other.listed()}. Keep one "
            "column, or call it labels."
        )
    return other, column


def check_largest(values: Array, what: str, place: Callable[[int], str]) -> None:
    """Refuse an index so large that it can only be a mistake, before as many classes are made up.

    Raises
    ------
    DataError
        The message says where.
    """
    if values.dtype.kind not in "iu" or not values.size or int(values.max()) < _MOST_CLASSES:
        return
    row = int(values.argmax())
    raise DataError(
        f"{place(row)}: the {what} must be a class index below {_MOST_CLASSES} or a name, got "
        f"{int(values[row])}. Correct it, or give the class names with --class-names."
    )


def names_of(*columns: Array) -> list[str]:
    """Class names that top labels imply: the names in them, or 0 to the largest index.

    Examples
    --------
    >>> names_of(np.array([0, 2]), np.array([1, 1])), names_of(np.array(["dog", "cat"]))
    (['0', '1', '2'], ['cat', 'dog'])
    """
    if all(_are_indices(values) for values in columns):
        return [str(i) for i in range(1 + max(int(values.max()) for values in columns))]
    return sorted({str(value) for values in columns for value in np.unique(values).tolist()})


def class_indices(
    values: Array, class_names: Sequence[str], what: str, place: Callable[[int], str]
) -> npt.NDArray[np.int64]:
    """Turn labels into class indices: by name where all of them are names, else as numbers.

    Texts that are neither are taken for what most of them are, so that a message names the odd one.

    Parameters
    ----------
    values : ndarray of shape (N,)
        Numbers or texts.
    class_names : sequence of str
        K names.
    what : str
        What they are called in messages.
    place : callable
        Says where a row is.

    Raises
    ------
    DataError
        If a label is none of the classes; the message says where.
    """
    if values.ndim != 1 or values.dtype.kind not in "fiuUS":
        raise DataError(f"{place(0)}: {what} must be whole numbers or names, got {values.dtype}.")
    found, inverse = np.unique(values, return_inverse=True)
    known = {name: index for index, name in enumerate(class_names)}
    names = [_as_name(value) for value in found.tolist()]
    if set(names) <= known.keys():
        return np.array([known[name] for name in names], dtype=np.int64)[inverse]
    if values.dtype.kind in "US":
        return _indices_of_texts(names, inverse, known, what, place)
    # written as "not inside", so that a NaN counts as bad
    wrong = np.flatnonzero(~((values >= 0) & (values < len(known)) & (values == np.floor(values))))
    if wrong.size:
        got = values[wrong[0]].item()
        if np.isnan(got):
            raise _is_empty(place(int(wrong[0])), what, "an empty cell or NaN")
        begins = " Do they begin at 1? Subtract 1." if got == len(known) else ""
        raise DataError(
            f"{place(int(wrong[0]))}: the {what} must be a whole number from 0 to "
            f"{len(known) - 1} or the name of a class, got {got:g}.{begins}"
        )
    return values.astype(np.int64)


def _indices_of_texts(
    names: Sequence[str],
    inverse: npt.NDArray[np.intp],
    known: Mapping[str, int],
    what: str,
    place: Callable[[int], str],
) -> npt.NDArray[np.int64]:
    """Class indices of texts, which are names or, if most of them are, numbers.

    Parameters
    ----------
    names : sequence of str
        Different texts.
    inverse : ndarray of shape (N,)
        Position of each row's text among them.
    known : mapping
        Name → index of the classes.
    what, place
        As for `class_indices`.
    """
    by_name = np.array([known.get(name, -1) for name in names], dtype=np.int64)[inverse]
    by_number = np.array([_index(name, len(known)) for name in names], dtype=np.int64)[inverse]
    are_numbers = np.count_nonzero(by_number >= 0) > np.count_nonzero(by_name >= 0)
    indices = by_number if are_numbers else by_name
    wrong = np.flatnonzero(indices < 0)
    if not wrong.size:
        return indices
    where, name = place(int(wrong[0])), names[int(inverse[wrong[0]])]
    if not name.strip():
        raise _is_empty(where, what, "an empty cell")
    near = get_close_matches(name, known, n=1)
    hint = f" Is it {near[0]!r}?" if near else ""
    some = ", ".join(list(known)[:5]) + (" …" if len(known) > 5 else "")
    raise DataError(
        f"{where}: the {what} {name!r} is none of the {len(known)} classes ({some}).{hint}"
    )


def _is_empty(where: str, what: str, cell: str) -> DataError:
    return DataError(
        f"{where}: the {what} is {cell}; expected a class. Fill it in, or leave the row out."
    )


def _index(text: str, n_classes: int) -> int:
    """Class index that a text writes as a number, -1 if it writes none.

    Examples
    --------
    >>> _index("3", 4), _index("3.0", 4), _index("4", 4), _index("cat", 4)
    (3, 3, -1, -1)
    """
    try:
        number = float(text)
    except ValueError:
        return -1
    return int(number) if 0 <= number < n_classes and number.is_integer() else -1


def _are_indices(values: Array) -> bool:
    return values.dtype.kind in "iu" and values.size > 0 and int(values.min()) >= 0


def _as_name(value: Any) -> str:
    """Write a label as a class name would be; 3.0 is the name "3"."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
