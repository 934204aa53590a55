"""Layouts on disk: `projections/<method>-<hash>.npz` in the directory of every run of a layout.

The hash is of the parameters (its first half) and of the features that were laid out (the second):
a layout of other parameters or other features has another name. Content of a file:

- `indices` (n,) int64, positions of the images in their split;
- `coordinates` (m, n, d) float32, of the m members of the layout that are of this run;
- `own` (m,) int64, the places of these among all members;
- `trustworthiness`, `continuity` (m,) float64, over neighbourhoods of `k` (an int64);
- `explained_variance_ratio` (m, d) float64, PCA only;
- `record`, a JSON text: `parameters`, and `members`, for each its `run`, `epoch` (null for the
  features of the finished network) and `digest` (`feature_digest`).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ols_core.analysis.embedding import Faithfulness
from ols_core.errors import RunError
from ols_core.projections.request import Layout, LayoutRequest, Member, Subject
from ols_core.run_writer import write_atomically
from ols_core.runs import Run

__all__ = ["find_layout", "find_subject", "store"]

T = TypeVar("T")

# whatever reading an archive of another content may raise
_DAMAGE = (ValueError, LookupError, TypeError, OSError, EOFError, BadZipFile, zlib.error)
_HALF = 8  # hexadecimal digits of each half of the hash


def find_layout(members: Sequence[Member], request: LayoutRequest) -> Layout | None:
    """Read a stored layout that holds these members, or None if there is none.

    It may hold more members than these. They are recognised by their features, not by name: a run
    that was copied or renamed together with its files is found.

    Parameters
    ----------
    members : sequence of Member
        At least one, each once.
    request : LayoutRequest

    Raises
    ------
    ArgumentError
        If there is no member, or one is named twice.
    RunError
        If a member lacks features or labels, if the members' images differ, or if a stored file is
        damaged.
    """
    return find_subject(Subject.of(members, request))


def find_subject(subject: Subject) -> Layout | None:
    """Read a stored layout of what has been checked already; see `find_layout`."""
    folder = subject.members[0].run.path / "projections"
    stored = sorted(folder.glob(f"{_stem(subject)}*.npz"))
    records = {file.name: _read(file, _record) for file in stored}
    wanted = set(subject.digests) if records else set()
    # The one with the fewest further members is nearest to what was asked for.
    for name in sorted(records, key=lambda name: len(records[name]["members"])):
        if wanted <= {member["digest"] for member in records[name]["members"]}:
            found = _assembled(subject, name)
            if found is not None:
                return found
    return None


def store(subject: Subject, layout: Layout) -> Layout:
    """Write a layout into the directories of its runs; returns it with its files."""
    record = {
        "parameters": layout.parameters,
        "members": [
            {"run": member.run.id, "epoch": member.epoch, "digest": digest}
            for member, digest in zip(subject.members, subject.digests, strict=True)
        ],
    }
    text = np.array(json.dumps(record))
    name = f"{_stem(subject)}{_hash(subject.digests)}.npz"
    for run in subject.runs:
        _write(_file(run, name), {"record": text, **_arrays(subject, layout, run)})
    return replace(layout, files=tuple(_file(run, name) for run in subject.runs))


def _stem(subject: Subject) -> str:
    return f"{subject.request.method}-{_hash(sorted(subject.parameters.items()))}"


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:_HALF]


def _arrays(subject: Subject, layout: Layout, run: Run) -> dict[str, npt.NDArray[Any]]:
    """What the file of one run holds beside the record."""
    own = [place for place, member in enumerate(subject.members) if member.run.path == run.path]
    faithfulness = [found for found in layout.faithfulness if found is not None]
    part: dict[str, npt.NDArray[Any]] = {
        "indices": layout.indices,
        "own": np.array(own, dtype=np.int64),
        "coordinates": np.stack([layout.coordinates[place] for place in own]),
        "trustworthiness": np.array([faithfulness[place].trustworthiness for place in own]),
        "continuity": np.array([faithfulness[place].continuity for place in own]),
        "k": np.array(faithfulness[0].k),
    }
    ratios = layout.explained_variance_ratio
    if ratios is not None:
        part["explained_variance_ratio"] = np.stack([ratios[place] for place in own])
    return part


def _write(file: Path, content: dict[str, npt.NDArray[Any]]) -> None:
    arguments: dict[str, Any] = dict(content)  # numpy's own signature has a flag beside the arrays
    write_atomically(file, lambda stream: np.savez_compressed(stream, **arguments))


def _assembled(subject: Subject, name: str) -> Layout | None:
    """Put a layout together from the files of its runs; None if a run lacks its part."""
    files = [_file(run, name) for run in subject.runs]
    if not all(file.is_file() for file in files):
        return None
    parts = {file: _read(file, _Part.of) for file in files}
    coordinates, faithfulness, variance = [], [], []
    for member, digest in zip(subject.members, subject.digests, strict=True):
        part = parts[_file(member.run, name)]
        place = part.place_of(digest)
        if place is None:
            return None
        coordinates.append(part.coordinates[place])
        faithfulness.append(part.faithfulness[place])
        if part.explained_variance_ratio is not None:
            variance.append(part.explained_variance_ratio[place])
    first = parts[files[0]]
    return Layout(
        indices=first.indices,
        coordinates=tuple(coordinates),
        faithfulness=tuple(faithfulness),
        parameters=first.record["parameters"],
        explained_variance_ratio=tuple(variance) or None,
        files=tuple(files),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Content of one file."""

    record: dict[str, Any]
    own: list[int]
    indices: npt.NDArray[np.int64]
    coordinates: npt.NDArray[np.float32]
    faithfulness: list[Faithfulness]
    explained_variance_ratio: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, content: Mapping[str, npt.NDArray[Any]]) -> _Part:
        """Take over what a file holds."""
        k = int(content["k"])
        scores = zip(content["trustworthiness"], content["continuity"], strict=True)
        return cls(
            record=_record(content),
            own=content["own"].tolist(),
            indices=content["indices"],
            coordinates=content["coordinates"],
            faithfulness=[Faithfulness(float(t), float(c), k) for t, c in scores],
            explained_variance_ratio=content.get("explained_variance_ratio"),
        )

    def place_of(self, digest: str) -> int | None:
        """Place of these features among those of this file."""
        digests = [self.record["members"][member]["digest"] for member in self.own]
        return digests.index(digest) if digest in digests else None


def _record(content: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(str(content["record"]))
    return record


def _file(run: Run, name: str) -> Path:
    return run.path / "projections" / name


def _read(file: Path, take: Callable[[Mapping[str, npt.NDArray[Any]]], T]) -> T:
    try:
        with np.load(file, allow_pickle=False) as content:
            return take(content)
    except _DAMAGE as error:
        raise RunError(f"{file} is damaged ({error}); delete it and compute it again.") from None
