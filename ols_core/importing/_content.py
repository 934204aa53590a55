"""What a file holds: named matrices and columns, read without executing anything in it."""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ols_core.errors import DataError
from ols_core.optional import require

__all__ = ["Content", "File", "read_content"]

File = str | Path | BinaryIO
"""A path, or a binary stream with a `name`, such as an uploaded file."""

Array = npt.NDArray[Any]
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*")
_SUFFIXES = (".npz", ".npy", ".csv", ".tsv", ".txt", ".parquet")


@dataclass(frozen=True)
class Content:
    """Named arrays of a file.

    Attributes
    ----------
    file : str
        Its name, for messages.
    matrices : dict
        Arrays of shape (N, K) by name; tables have none.
    columns : dict
        Arrays of shape (N,) by name, numbers or texts.
    has_names : bool
        Whether the names of columns are the file's own.
    first_line : int or None
        Line of row 0 in a text file.
    notices : list of str
        How it was read, as sentences, where that is not plain.
    """

    file: str
    matrices: dict[str, Array] = field(default_factory=dict)
    columns: dict[str, Array] = field(default_factory=dict)
    has_names: bool = True
    first_line: int | None = None
    notices: list[str] = field(default_factory=list)

    def place(self, row: int) -> str:
        """Say where a row is, to begin a message with."""
        if self.first_line is None:
            return f"{self.file}, row {row} (counted from 0)"
        return f"{self.file}, line {self.first_line + row}"

    def listed(self) -> str:
        """Names and shapes of all that was found, shortened."""
        arrays = {**self.matrices, **self.columns}
        shown = [f"{name} {array.shape}" for name, array in list(arrays.items())[:8]]
        rest = len(arrays) - len(shown)
        return ", ".join(shown) + (f" and {rest} more" if rest else "") or "nothing"


def read_content(file: File) -> Content:
    """Read an NPZ, NPY, CSV, TSV or Parquet file, or a text file of one column.

    Raises
    ------
    DataError
        If the file is absent, empty, of another kind or damaged; the message says where.
    MissingPackageError
        If a package that reads this kind is not installed.
    """
    name = str(file if isinstance(file, str | Path) else getattr(file, "name", "the stream"))
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES:
        kinds = ", ".join(kind for kind in _SUFFIXES if kind != ".txt")
        raise DataError(
            f"{name}: expected a file named {kinds}, got {suffix or 'no suffix'!r}. Save it as one "
            "of these."
        )
    with _opened(file, name) as stream:
        if not stream.read(1):
            raise DataError(f"{name}: the file is empty.")
        stream.seek(0)
        if suffix in (".npz", ".npy"):
            return _read_numpy(stream, name)
        return _read_parquet(stream, name) if suffix == ".parquet" else _read_text(stream, name)


@contextmanager
def _opened(file: File, name: str) -> Iterator[BinaryIO]:
    if not isinstance(file, str | Path):
        file.seek(0)
        yield file
        return
    try:
        with Path(file).open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise DataError(f"{name}: no such file.") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}.") from None


def _read_numpy(stream: BinaryIO, name: str) -> Content:
    try:
        loaded = np.load(stream, allow_pickle=False)
        arrays = {"array": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        cause = " ".join(str(error).split()).rstrip(".")
        if "pickle" in cause:
            cause = "it holds Python objects, and unpickling them could execute code"
        raise DataError(
            f"{name}: cannot be read as {Path(name).suffix.upper().lstrip('.')}: {cause}. Save "
            "plain arrays of numbers or texts with numpy.savez or numpy.save."
        ) from None
    if any(array.dtype.names for array in arrays.values()):
        raise DataError(f"{name}: holds a structured array; save its fields as separate arrays.")
    return Content(
        name,
        {key: array for key, array in arrays.items() if array.ndim == 2},
        {key: array for key, array in arrays.items() if array.ndim == 1},
    )


def _read_parquet(stream: BinaryIO, name: str) -> Content:
    pandas = require("pandas", "Reading Parquet files", "tables")
    require("pyarrow", "Reading Parquet files", "tables")
    try:
        table = pandas.read_parquet(stream, engine="pyarrow")
    except (ValueError, OSError) as error:  # pyarrow's own errors are both
        raise DataError(f"{name}: cannot be read as Parquet: {_one_line(error)}.") from None
    if not len(table):
        raise DataError(f"{name}: holds no rows.")
    table = table.reset_index() if table.index.names != [None] else table
    _check_header(name, [str(column) for column in table.columns])
    return Content(name, columns=_columns(table, [str(column) for column in table.columns]))


def _read_text(stream: BinaryIO, name: str) -> Content:
    try:
        first = stream.readline().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_utf8(stream, name) from None
    if "\0" in first:  # UTF-16 without a mark
        raise _not_utf8(stream, name)
    separator = _separator(first)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
    named = _is_header([_with_point(cell) for cell in cells])
    if named:
        _check_header(name, cells)
    stream.seek(0)
    table = _parsed(stream, name, separator, len(cells), named)
    if not len(table):
        raise DataError(f"{name}: has a header but no rows.")
    names = cells if named else [f"column {i + 1}" for i in range(len(cells))]
    columns = _columns(table, names)
    with_commas = {} if separator == "," else _decimal_commas(columns)
    return Content(
        name,
        columns=columns | with_commas,
        has_names=named,
        first_line=2 if named else 1,
        notices=["Decimal commas were read as points."] if with_commas else [],
    )


def _not_utf8(stream: BinaryIO, name: str) -> DataError:
    """Build the error for a text of another encoding; it names the first line that shows it."""
    stream.seek(0)
    line = next((i for i, text in enumerate(stream, 1) if not _is_utf8(text)), 1)
    return DataError(
        f"{name}, line {line}: is not UTF-8 text. Save it as UTF-8 (spreadsheets call it CSV "
        "UTF-8); or was it renamed from another kind?"
    )


def _is_utf8(text: bytes) -> bool:
    try:
        return "\0" not in text.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _separator(first: str) -> str:
    """Return what stands between the cells of a first line.

    Examples
    --------
    >>> _separator("label,a"), _separator("label;a"), _separator("0,5;1;0,25")
    (',', ';', ';')
    """
    for mark in ";\t":
        cells = first.split(mark)
        if len(cells) > 1 and any(map(_DECIMAL_COMMA.fullmatch, cells)):
            return mark
    return max(",;\t", key=first.count)


def _with_point(text: str) -> str:
    """Write a number with a decimal comma with a point; other texts stay as they are.

    Examples
    --------
    >>> _with_point("-0,5"), _with_point("1.000,5"), _with_point("cat, dog")
    ('-0.5', '1.000,5', 'cat, dog')
    """
    return text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text


def _decimal_commas(columns: dict[str, Array]) -> dict[str, Array]:
    """Columns of texts that hold decimal commas, with points: as numbers, if all cells are some."""
    changed: dict[str, Array] = {}
    for name, values in columns.items():
        if values.dtype.kind != "U":
            continue
        texts = [_with_point(text) for text in values.tolist()]
        if texts != values.tolist():
            array = np.array(texts)
            all_numbers = all(map(_is_number, texts))
            changed[name] = array.astype(np.float64) if all_numbers else array
    return changed


def _parsed(stream: BinaryIO, name: str, separator: str, n_fields: int, named: bool) -> Any:
    """Parse delimited text into a data frame."""
    pandas = require("pandas", "Reading text files", "tables")
    try:
        with warnings.catch_warnings():
            # Of a line that is too long; it would be cut.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(
                stream,
                sep=separator,
                header=0 if named else None,
                index_col=False,
                encoding="utf-8-sig",
                low_memory=False,
                # A class may be called "None" or "NA".
                keep_default_na=False,
                na_values=[""],
            )
    except pandas.errors.ParserWarning:
        cause = "lines have more fields than the first one"
    except UnicodeDecodeError:
        raise _not_utf8(stream, name) from None
    except pandas.errors.ParserError as error:
        cause = _one_line(error).removeprefix("Error tokenizing data. C error: ")
    raise DataError(
        f"{name}: cannot be read as a table: {cause}. Every line must have {n_fields} fields, as "
        "the first one has."
    )


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a first line names columns; numbers do so only as the indices of all classes.

    Examples
    --------
    >>> _is_header(["label", "cat"]), _is_header(["0.3", "2.5"]), _is_header(["0", "1", "2"])
    (True, False, True)
    """
    if len(cells) == 1:  # of labels alone, even names of classes look like a header
        return cells[0].lower() in ("label", "labels", "y", "y_true", "true", "target", "class")
    if not all(map(_is_number, cells)):
        return True
    return sorted(cells) == sorted(map(str, range(len(cells))))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_header(name: str, cells: Sequence[str]) -> None:
    numbers = [cell for cell in cells if _is_number(_with_point(cell)) and not cell.isdecimal()]
    if numbers:
        raise DataError(
            f"{name}, line 1: expected names of columns, got {numbers[0]!r}. Put a line with a "
            "name for each column before the first row."
        )
    repeated = [cell for cell, n in Counter(cells).items() if n > 1]
    if repeated:
        places = [str(i + 1) for i, cell in enumerate(cells) if cell == repeated[0]]
        raise DataError(
            f"{name}: the column {repeated[0]!r} occurs more than once (columns "
            f"{', '.join(places)}); rename all but one."
        )


def _columns(table: Any, names: Sequence[str]) -> dict[str, Array]:
    """Columns of a data frame as arrays of numbers, or of texts with "" where a cell is empty."""
    found = {}
    for position, name in enumerate(names):
        column = table.iloc[:, position]
        values = np.asarray(column) if column.dtype.kind in "fiu" else None
        found[name] = np.asarray(column.fillna("").astype(str), str) if values is None else values
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
