from __future__ import annotations

import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss

from ols_core._given import oddities
from ols_core.class_names import read_class_names
from ols_core.errors import ArgumentError, DataError, RunError
from ols_core.importing import read_predictions, write_import
from ols_core.optional import MissingPackageError
from ols_core.runs import list_runs, load_run
from ols_core.top_labels import load_top_labels
from tests.synthetic import synthetic_run

NAMES = ["ant", "bee", "cow", "dog"]
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 80)
LOGITS = (RANDOM.normal(size=(80, 4)) + 2 * np.eye(4)[LABELS]).astype(np.float32)
PROBABILITIES = softmax(LOGITS.astype(np.float64), axis=1)
PREDICTED, CONFIDENCE = PROBABILITIES.argmax(1), PROBABILITIES.max(1)


def _wide(values=LOGITS, prefix="logit_", labels=LABELS):
    table = pd.DataFrame(values, columns=[prefix + name for name in NAMES])
    table.insert(0, "label", labels)
    return table


def _csv(path, text):
    path.write_text(text)
    return path


# How each file is written, what else is given, and what is to be recognised.
FORMS = {
    "logits.npz": (lambda f: np.savez(f, logits=LOGITS, labels=LABELS), {}, "logits"),
    "unnamed.npz": (lambda f: np.savez(f, a=PROBABILITIES, b=LABELS), {}, "probabilities"),
    "both.npz": (
        lambda f: np.savez(f, probs=PROBABILITIES, logits=LOGITS, y=LABELS),
        {},
        "logits",
    ),
    "half.npy": (lambda f: np.save(f, LOGITS.astype(np.float16)), {"labels": "y.npy"}, "logits"),
    "wide.csv": (lambda f: _wide().to_csv(f, index=False), {}, "logits"),
    "indexed.csv": (
        lambda f: (
            _wide(PROBABILITIES, "p[").rename(columns=lambda c: c + "]" * ("[" in c)).to_csv(f)
        ),
        {},
        "probabilities",
    ),
    "named.tsv": (
        lambda f: _wide(labels=np.array(NAMES)[LABELS]).to_csv(f, index=False, sep="\t"),
        {},
        "logits",
    ),
    "wide.parquet": (
        lambda f: _wide(PROBABILITIES, "prob ").rename(columns={"label": "truth"}).to_parquet(f),
        {"labels": "truth"},
        "probabilities",
    ),
    "headerless.csv": (
        lambda f: np.savetxt(f, LOGITS, delimiter=","),
        {"labels": "y.txt"},
        "logits",
    ),
    "top.csv": (
        lambda f: pd.DataFrame(
            {
                "True": np.array(NAMES)[LABELS],
                "Predicted class": np.array(NAMES)[PREDICTED],
                "confidence": CONFIDENCE,
            }
        ).to_csv(f, index=False),
        {},
        "top-label",
    ),
    "top.npz": (
        lambda f: np.savez(f, y_true=LABELS, y_pred=PREDICTED, conf=CONFIDENCE),
        {},
        "top-label",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_predictions(tmp_path, form):
    write, options, kind = FORMS[form]
    write(tmp_path / form)
    np.save(tmp_path / "y.npy", LABELS)
    np.savetxt(tmp_path / "y.txt", LABELS, fmt="%d")
    if "." in options.get("labels", ""):
        options = {"labels": tmp_path / options["labels"]}
    found = read_predictions(tmp_path / form, **options)

    assert (found.kind, found.n_samples, found.n_classes) == (kind, 80, 4)
    np.testing.assert_array_equal(found.labels, LABELS)
    exact = accuracy_score(LABELS, PREDICTED)
    assert found.accuracy == pytest.approx(exact, abs=0.03 if form == "half.npy" else 0)
    if kind == "top-label":
        assert found.scores is None
        np.testing.assert_allclose(found.top_labels.confidence, CONFIDENCE, rtol=1e-6)
    else:
        expected = LOGITS if kind == "logits" else PROBABILITIES
        np.testing.assert_allclose(found.scores, expected, rtol=1e-3, atol=1e-3)
        assert found.summary["nll"] == pytest.approx(log_loss(LABELS, PROBABILITIES), rel=1e-3)
    has_names = form in ("wide.csv", "indexed.csv", "named.tsv", "wide.parquet", "top.csv")
    assert found.class_names == (NAMES if has_names else ["0", "1", "2", "3"])


def test_an_upload_is_read_like_a_file(tmp_path):
    stream = io.BytesIO(_wide().to_csv(index=False).encode())
    stream.name = "upload.csv"
    assert read_predictions(stream).file == "upload.csv"
    np.testing.assert_array_equal(read_predictions(stream).scores, LOGITS)


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(4)), kind=st.sampled_from(["logits", "probabilities"]))
def test_the_order_of_the_columns_does_not_matter(order, kind):
    values = LOGITS if kind == "logits" else PROBABILITIES
    table = _wide(values, kind + "_", np.array(NAMES)[LABELS]).iloc[:, [*(1 + np.array(order)), 0]]
    stream = io.BytesIO(table.to_csv(index=False).encode())
    stream.name = "shuffled.csv"
    found = read_predictions(stream)
    assert found.kind == kind
    assert found.class_names == [NAMES[i] for i in order]
    np.testing.assert_allclose(found.scores, values[:, order], rtol=1e-6)
    np.testing.assert_array_equal(np.array(found.class_names)[found.labels], table["label"])
    given_order = read_predictions(stream, class_names=NAMES)
    np.testing.assert_allclose(given_order.scores, values, rtol=1e-6)


def test_numbered_columns_are_sorted_by_their_number(tmp_path):
    table = _wide().rename(columns=dict(zip(_wide().columns[1:], "1032", strict=True)))
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_predictions(tmp_path / "t.csv")
    assert found.class_names == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(found.scores, LOGITS[:, [1, 0, 3, 2]])


def test_what_is_left_out_is_told(tmp_path):
    table = _wide().assign(image="x.png", entropy=0.5, pred=PREDICTED)
    table.to_csv(tmp_path / "t.csv")
    assert read_predictions(tmp_path / "t.csv").warnings == [
        "Ignored columns: '', 'image', 'entropy', 'pred'."
    ]
    found = read_predictions(_csv(tmp_path / "u.csv", "label,a,b\n0,1,2\n0,2,1\n0,3,1\n"))
    assert "1 of 2 classes has no sample." in found.warnings
    shuffled = _wide(labels=(LABELS + 1) % 4)
    shuffled.to_csv(tmp_path / "v.csv", index=False)
    assert "is that of guessing" in read_predictions(tmp_path / "v.csv").warnings[-1]


@pytest.mark.parametrize(
    ("accuracy", "n_samples", "n_classes", "guessed"),
    [
        (1.0, 2, 2, False),
        (1.0, 2, 5, False),
        (1.0, 4, 2, False),
        (5 / 6, 6, 2, False),
        (0.5, 2, 2, True),
        (0.0, 5, 2, True),
        (0.1, 5000, 10, True),
        (0.105, 5000, 10, True),
        (0.11, 5000, 10, False),
        (0.02, 1000, 100, False),
        (0.012, 1000, 100, True),
    ],
)
def test_guessing_is_told_by_what_guessing_reaches(accuracy, n_samples, n_classes, guessed):
    labels = np.arange(n_samples) % n_classes
    said = any("is that of guessing" in text for text in oddities(labels, accuracy, n_classes))
    assert said == guessed


@pytest.mark.parametrize(
    ("row", "values"),
    [("idx", range(80)), ("Unnamed: 0.1", range(80)), ("nr", range(1, 81)), ("case", range(80))],
)
def test_a_column_that_numbers_the_rows_is_no_class(tmp_path, row, values):
    table = _wide(prefix="")
    table.insert(0, row, values)
    table.to_csv(tmp_path / "t.csv", index=False)
    found = read_predictions(tmp_path / "t.csv")
    assert found.class_names == NAMES
    assert f"Ignored columns: {row!r}." in found.warnings
    kept = read_predictions(tmp_path / "t.csv", class_names=[row, *NAMES], kind="logits")
    assert kept.n_classes == 5


def test_columns_that_are_called_like_scores_never_number_rows(tmp_path):
    table = _wide().assign(logit_elk=range(80))
    table.to_csv(tmp_path / "t.csv", index=False)
    assert read_predictions(tmp_path / "t.csv").class_names == [*NAMES, "elk"]
    # scores of few rows count by chance, and two columns are the least that there can be
    for text in (
        "label,a,b,c\n0,1,5,0\n1,2,7,1\n2,3,0,3\n",
        "label,idx,b\n" + "".join(f"0,{i},5\n" for i in range(9)),
    ):
        found = read_predictions(_csv(tmp_path / "u.csv", text))
        assert found.class_names == text.partition("\n")[0].split(",")[1:]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("header", [True, False])
def test_decimal_commas_are_read(tmp_path, separator, header):
    table = _wide(PROBABILITIES, "prob_") if header else pd.DataFrame(PROBABILITIES)
    table.to_csv(tmp_path / "t.csv", index=False, sep=separator, decimal=",", header=header)
    np.savetxt(tmp_path / "y.txt", LABELS, fmt="%d")
    labels = {} if header else {"labels": tmp_path / "y.txt"}
    found = read_predictions(tmp_path / "t.csv", **labels)
    assert found.kind == "probabilities"
    np.testing.assert_allclose(found.scores, PROBABILITIES, rtol=1e-6)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert "Decimal commas were read as points." in found.recognised


def test_labels_that_are_texts_of_numbers_are_numbers(tmp_path):
    np.savez(tmp_path / "p.npz", logits=LOGITS, labels=LABELS.astype(str), class_names=NAMES)
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.npz").labels, LABELS)


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    _wide().iloc[:0].to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: holds no rows"):
        read_predictions(tmp_path / "t.parquet")


def test_probabilities_may_be_called_logits_and_that_is_told(tmp_path):
    _wide(PROBABILITIES, "").to_csv(tmp_path / "t.csv", index=False)
    assert read_predictions(tmp_path / "t.csv").kind == "probabilities"
    found = read_predictions(tmp_path / "t.csv", kind="logits")
    assert found.kind == "logits"
    assert "though every row sums to 1" in found.recognised[-1]


def test_classes_may_be_called_none_or_numbers(tmp_path):
    text = "true,pred,confidence\nNone,NA,0.9\nNA,NA,0.8\n"
    assert read_predictions(_csv(tmp_path / "t.csv", text)).class_names == ["NA", "None"]
    text = "label,prob_1,prob_2\n1,0.5,0.5\n2,0.25,0.75\n"
    assert read_predictions(_csv(tmp_path / "u.csv", text)).labels.tolist() == [0, 1]


def test_features_and_names_come_along_from_npz(tmp_path):
    features = RANDOM.normal(size=(80, 7))
    content = {"logits": LOGITS, "labels": np.array(NAMES)[LABELS], "class_names": np.array(NAMES)}
    np.savez(tmp_path / "p.npz", features=features, **content)
    run = write_import(read_predictions(tmp_path / "p.npz"), tmp_path / "runs", "one")
    assert run.info.dataset.class_names == NAMES
    np.testing.assert_allclose(run.features(), features, rtol=1e-3, atol=1e-3)


WIDE = "label,prob_a,prob_b\n0,0.5,0.5\n1,0.25,0.75\n"
TOP = "true,pred,confidence\na,a,0.9\nb,a,0.8\n"
REFUSED = {
    "t.csv, line 3: probabilities must be .* the row sums to 0.8": WIDE.replace("0.75", "0.55"),
    "t.csv, line 3: .*column 'prob_a' is -0.25, below 0": WIDE.replace("0.25,0.75", "-0.25,1.25"),
    "t.csv, line 2: the row sums to 100. Divide": "label,a,b\n0,50,50\n1,25,75\n",
    "t.csv, line 3, column 'prob_b': expected a number, got 'high'": WIDE.replace("0.75", "high"),
    "t.csv, line 3, column 'prob_b': expected a number, got an empty": WIDE.replace("0.75", ""),
    "t.csv, line 2, column 'prob_a': expected a number, got 'nan'": WIDE.replace("0.5,", "nan,"),
    "t.csv, line 2, column 'b': expected a finite number, got inf": "label,a,b\n0,1,inf\n1,2,3\n",
    "t.csv, line 3: .*from 0 to 1 .* got 2. Do they begin at 1": WIDE.replace("\n1,", "\n2,"),
    "t.csv, line 3: the label must be a whole number .* got 0.5": WIDE.replace("\n1,", "\n0.5,"),
    "t.csv, line 2: the label 'A' is none of the 2 classes": WIDE.replace("\n0,", "\nA,"),
    "t.csv, line 2: the label is an empty cell; expected a class. Fill it in": (
        WIDE.replace("\n0,", "\n,").replace("\n1,", "\na,")
    ),
    "t.csv, line 3: the label is an empty cell or NaN": WIDE.replace("\n1,", "\n,"),
    "t.csv, line 5: the label '10{30}' is none of the 2": WIDE + f"0,0.5,0.5\n{10**30},0.5,0.5\n",
    "t.csv, line 4: the label '7' is none .*\\(a, b\\)": "label,a,b\na,1,2\nb,1,2\n7,3,1\na,1,1\n",
    "t.csv: holds 1 sample; expected at least 2, since": WIDE.replace("1,0.25,0.75\n", ""),
    "t.csv, line 4, column 'b': expected a number, got 'high'": (
        "label;a;b\n0;0,5;0,5\n1;0,25;0,75\n1;0,25;high\n"
    ),
    "t.csv, line 3, column 'b': expected a number, got an empty cell\\.": (
        "label;a;b\n0;0,5;0,5\n1;0,25;\n"
    ),
    "t.csv, line 1: expected names of columns, got '0,5'": "cat;0,5;0,5\ndog;0,25;0,75\n",
    "the column 'prob_a' occurs more than once \\(columns 2, 3\\)": WIDE.replace("b_b", "b_a"),
    "lines have more fields.*must have 3 fields": WIDE.replace("0.5\n", "0.5,0\n"),
    "in line 5, saw 4.*must have 3 fields": WIDE + "0,1\n0,1,2,3\n",
    "has a header but no rows": "label,a,b\n",
    "t.csv, line 1: expected names of columns, got '0.5'": "cat,0.5,0.5\ndog,0.25,0.75\n",
    "the file is empty": "",
    "no predictions were found.*label \\(2,\\), x \\(2,\\)": "label,x\n0,1\n1,2\n",
    "t.csv, line 3: the confidence must be in \\[0, 1\\], got 80. Divide": TOP.replace("0.8", "80"),
    "t.csv, line 3, column 'confidence': expected a number, got 'x'": TOP.replace("0.8", "x"),
    "t.csv, line 4: the predicted class must be a class index below 100000 .* got 10{12}": (
        f"true,pred,confidence\n0,0,0.9\n1,1,0.8\n1,{10**12},0.8\n"
    ),
    "no column of true labels was found. Name it with --labels": WIDE.replace("label", "prob_c"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_unusable_tables_are_refused_where_they_are_wrong(tmp_path, message):
    file = _csv(tmp_path / "t.csv", REFUSED[message])
    with pytest.raises((DataError, ArgumentError), match=message):
        read_predictions(file)


ARRAYS = {
    "3 labels for the 80 predictions": {"logits": LOGITS, "labels": LABELS[:3]},
    "p.npz, row 0 \\(counted from 0\\), column 1: expected a finite": {
        "logits": LOGITS * [1, np.nan, 1, 1],
        "labels": LABELS,
    },
    "which array holds the predictions": {"a": LOGITS, "b": LOGITS, "labels": LABELS},
    "4 columns of predictions, but 2 class names": {
        "logits": LOGITS,
        "labels": LABELS,
        "class_names": np.array(["a", "b"]),
    },
    "logits holds <U": {"logits": LOGITS.astype(str), "labels": LABELS},
    "no column of true labels": {"logits": LOGITS},
    "p.npz: holds no rows": {"logits": LOGITS[:0], "labels": LABELS[:0]},
    r"p.npz: holds no rows\.": {"y_true": LABELS[:0], "y_pred": LABELS[:0], "conf": CONFIDENCE[:0]},
    "p.npz: holds 1 sample; expected at least 2": {"logits": LOGITS[:1], "labels": LABELS[:1]},
    r"p.npz: logits has the shape \(80, 1\); expected .* two at least. Of a binary classifier": {
        "logits": LOGITS[:, :1],
        "labels": LABELS,
    },
}


@pytest.mark.parametrize("message", ARRAYS)
def test_unusable_arrays_are_refused(tmp_path, message):
    np.savez(tmp_path / "p.npz", **ARRAYS[message])
    with pytest.raises((DataError, ArgumentError), match=message):
        read_predictions(tmp_path / "p.npz")


def test_files_of_another_kind_are_refused(tmp_path):
    np.savez(tmp_path / "real.npz", logits=LOGITS, labels=LABELS)
    zipped = (tmp_path / "real.npz").read_bytes()
    for name, content, message in (
        ("p.xlsx", b"x", r"expected a file named \.npz, .*got '\.xlsx'"),
        ("p.csv", zipped, "p.csv, line 1: is not UTF-8 text.*or was it renamed"),
        ("l1.csv", "label,a,Bär\n0,1,2\n".encode("latin-1"), "line 1: .*Save it as UTF-8"),
        (
            "l2.csv",
            "label,a,b\na,1,2\nBär,1,2\n".encode("latin-1"),
            "line 3: is not UTF-8 text. Save it as UTF-8",
        ),
        ("u1.csv", WIDE.encode("utf-16"), "line 1: is not UTF-8 text. Save it as UTF-8"),
        ("u2.csv", WIDE.encode("utf-16-le"), "line 1: is not UTF-8 text. Save it as UTF-8"),
        ("p.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("p.npy", b"hello", "cannot be read as NPY"),
        ("p.npz", zipped[:300], "cannot be read as NPZ"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_predictions(tmp_path / name)
    with pytest.raises(DataError, match=r"nothing\.csv: no such file"):
        read_predictions(tmp_path / "nothing.csv")


def test_nothing_that_is_read_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    np.savez(tmp_path / "p.npz", logits=LOGITS, labels=np.array([Evil()] * 80))
    (tmp_path / "q.npy").write_bytes(pickle.dumps(Evil()))
    for name in ("p.npz", "q.npy"):
        with pytest.raises(DataError, match=r"could execute code|cannot be read"):
            read_predictions(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'ols-core\[tables\]'"):
        read_predictions(_csv(tmp_path / "t.csv", WIDE))
    np.savez(tmp_path / "p.npz", logits=LOGITS, labels=LABELS)
    assert read_predictions(tmp_path / "p.npz").n_samples == 80


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("n.txt", "cat\nwild dog\n\n", ["cat", "wild dog"]),
        ("n.json", '["cat", "dog"]', ["cat", "dog"]),
        ("n.json", '{"1": ["n2", "dog"], "0": ["n1", "cat"]}', ["n1 cat", "n2 dog"]),
        ("n.txt", "cat\n\ndog\n", "n.txt, line 2: is empty"),
        ("n.txt", "cat\n", "at least 2 classes, got 1"),
        ("n.json", '{"1": "dog"}', "expected a list of names"),
        ("n.json", '["cat", 3]', "entry 1: expected a name, got 3"),
        ("n.json", "[", "not JSON"),
        ("n.yaml", "", "read from a .txt, .csv or .json"),
    ],
)
def test_class_names_are_read_or_refused(tmp_path, name, text, expected):
    file = _csv(tmp_path / name, text)
    if isinstance(expected, list):
        assert read_class_names(file) == expected
        return
    with pytest.raises(DataError, match=expected):
        read_class_names(file)


def test_an_import_becomes_a_run_beside_its_peers(tmp_path):
    peer = synthetic_run(tmp_path, "trained", n_classes=3, superclasses=["x", "y", "y"])
    content = {"logits": peer.logits(), "labels": peer.labels()}
    np.savez(tmp_path / "p.npz", class_names=peer.info.dataset.class_names, **content)
    found = read_predictions(tmp_path / "p.npz")
    run = write_import(found, tmp_path, "imported", method="ce")

    assert (run.info.source, run.status, run.info.method) == ("imported", "finished", "ce")
    assert run.info.dataset.name == "synthetic"
    assert run.info.dataset.superclasses == ["x", "y", "y"]
    assert run.info.dataset.fingerprints == peer.info.dataset.fingerprints
    assert run.info.summary["test"] == pytest.approx(peer.info.summary["test"])
    np.testing.assert_array_equal(run.logits(), peer.logits())
    assert run.info.model_extra["imported"]["file"] == "p.npz"
    assert str(tmp_path) not in (run.path / "run.json").read_text()
    with pytest.raises(RunError, match="exists already"):
        write_import(found, tmp_path, "imported")


def test_imported_top_labels_are_stored_without_invention(tmp_path):
    FORMS["top.csv"][0](tmp_path / "top.csv")
    found = read_predictions(tmp_path / "top.csv")
    assert "Only the best class is given" in found.warnings[-1]
    run = write_import(found, tmp_path, "top")
    stored = load_top_labels(run)
    np.testing.assert_array_equal(stored.predicted, PREDICTED)
    assert not run.has("predictions/test_logits.npy")
    assert set(run.info.summary["test"]) == {
        *("n_samples", "accuracy", "ece", "signed_gap", "mean_confidence")
    }


def test_the_command_shows_first_and_writes_when_told(ols, tmp_path):
    np.savez(tmp_path / "My Predictions.npz", logits=LOGITS, labels=LABELS)
    command = ("import", tmp_path / "My Predictions.npz", "--root", tmp_path)
    code, text = ols(*command, "--class-names", "ant,bee, cow,dog", "--dry-run")
    assert code == 0
    assert "80 samples, 4 classes (ant, bee, cow, dog), split test" in text
    assert "Nothing was written" in text
    code, text = ols(*command)
    assert code == 2
    assert "add --yes" in text
    assert list_runs(tmp_path) == []
    assert ols(*command, "--yes", "--split", "val", "--method", "ls")[0] == 0
    run = load_run("my-predictions", tmp_path)
    assert (run.info.method, list(run.info.summary)) == ("ls", ["val"])
    code, text = ols(*command, "--yes")
    assert code == 1
    assert "exists already" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing.npz",), 1, "no such file"),
        (("p.npz", "--labels", "truth"), 2, "no such column"),
        (("p.npz", "--labels", "truth.csv"), 1, "truth.csv: no such file"),
        (("p.npz", "--probabilities"), 1, "must be at least 0 and sum to 1"),
        (("p.npz", "--split", "dev"), 2, "split must be one of"),
        (("p.npz", "--class-names", "a,b"), 1, "4 columns of predictions, but 2 class names"),
        (("p.npz", "--class-names", "names.txt"), 1, "names.txt: no such file"),
        (("p.npz", "--name", "../x"), 2, "run name must be"),
    ],
)
def test_mistakes_end_with_a_sentence_and_a_code(
    ols, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    np.savez("p.npz", logits=LOGITS, labels=LABELS)
    found, text = ols("import", *arguments, "--yes", "--root", "runs")
    assert found == code
    assert message in text
    assert "Traceback" not in text
    assert not Path("runs").exists()


def test_the_help_has_an_example(ols):
    code, text = ols("import", "--help")
    assert code == 0
    assert "ols import" in text.partition("Example")[2]
