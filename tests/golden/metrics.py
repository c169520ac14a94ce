"""Makes the golden figures of metrics.json with scikit-learn, from inputs of a seed.

    python metrics.py            write the file anew
    python metrics.py --check    compare with what it holds, and write nothing

Run with Python 3.11.7, numpy 2.4.6 and scikit-learn 1.9.1, on x86-64.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn import metrics

warnings.simplefilter("ignore")  # of quotients with nothing below the line, which are the point
FILE = Path(__file__).parent / "metrics.json"
AVERAGES = ("macro", "weighted", "micro")


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / np.sort(e).sum(axis=1, keepdims=True)  # rows of the same numbers in another order tie


def classes(name, logits, labels):
    width = logits.shape[1]
    count = max(width, 2)
    if width == 1:
        answers = (logits[:, 0] > 0).astype(int)
        one = 1 / (1 + np.exp(-logits[:, 0]))
        p = np.stack([1 - one, one], axis=1)
    else:
        answers, p = logits.argmax(axis=1), softmax(logits)
    every = list(range(count))
    case = {
        "kind": "classes", "name": name, "logits": logits.tolist(), "labels": labels.tolist(),
        "confusion": metrics.confusion_matrix(labels, answers, labels=every).tolist(),
        "accuracy": metrics.accuracy_score(labels, answers),
        "log_loss": metrics.log_loss(labels, p, labels=every),
    }  # fmt: skip
    for figure in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{figure}_score")
        case[figure] = score(labels, answers, labels=every, average=None).tolist()
        for average in AVERAGES:
            case[f"{figure}_{average}"] = score(labels, answers, average=average)
    per_class = [metrics.roc_auc_score(labels == i, p[:, i]) for i in every]
    case["roc_auc_classes"] = [None if np.isnan(area) else area for area in per_class]
    if len(set(labels)) == count:
        case["roc_auc"] = (
            metrics.roc_auc_score(labels, p[:, 1])
            if count == 2
            else metrics.roc_auc_score(labels, p, multi_class="ovr", average="macro")
        )
    has_ties = any(len(set(row)) < width for row in logits.tolist())
    if width > 2 and not has_ties:
        case["top_k"] = [metrics.top_k_accuracy_score(labels, p, k=k, labels=every) for k in every[1:]]
    return case


def several(name, logits, labels):
    answers = (logits > 0).astype(int)
    return {
        "kind": "several", "name": name, "logits": logits.tolist(), "labels": labels.tolist(),
        "exact_match": metrics.accuracy_score(labels, answers),
        "accuracy": 1 - metrics.hamming_loss(labels, answers),
    }  # fmt: skip


def regression(name, y, t):
    case = {"kind": "regression", "name": name, "y": y.tolist(), "t": t.tolist()}
    figures = {
        "r2": metrics.r2_score,
        "mean_absolute_error": metrics.mean_absolute_error,
        "root_mean_squared_error": metrics.root_mean_squared_error,
    }
    for figure, score in figures.items():
        case[figure] = score(t, y)
        case[f"{figure}_columns"] = score(t, y, multioutput="raw_values").tolist()
    return case


def cases():
    rng = np.random.default_rng(1)
    normal, labels = rng.standard_normal, rng.integers
    yield classes("four", normal((60, 4)), labels(0, 4, 60))
    yield classes("four_with_ties", np.round(normal((60, 4)) * 2) / 2, labels(0, 4, 60))
    missing = normal((40, 5))
    missing[:, 4] = -9.0  # class 4 is neither right nor answered, class 3 is answered only
    yield classes("two_classes_missing", missing, labels(0, 3, 40))
    yield classes("far_apart", 5 * normal((30, 3)), labels(0, 3, 30))
    yield classes("two_columns", normal((50, 2)), labels(0, 2, 50))
    yield classes("one_column_with_ties", np.round(normal((50, 1)) * 3) / 3, labels(0, 2, 50))
    yield classes("one_column_of_one_class", normal((20, 1)), np.ones(20, dtype=int))
    yield classes("unbalanced", normal((200, 1)) - 2, (rng.random(200) < 0.05).astype(int))
    yield several("three", normal((30, 3)), labels(0, 2, (30, 3)))
    t = normal((50, 3)) * [1, 100, 0] + [0, 1e4, 7]
    yield regression("three_one_constant", t + normal((50, 3)), t)
    yield regression("constant_and_right", t[:, 2:], t[:, 2:])
    yield regression("worse_than_the_mean", 3 * normal((20, 1)), normal((20, 1)))


def close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    return abs(a - b) <= 1e-13 * max(1, abs(b)) if isinstance(a, float) else a == b


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    made = json.loads(json.dumps({"cases": list(cases())}))
    if not parser.parse_args().check:
        lines = ",\n".join(json.dumps(case) for case in made["cases"])
        FILE.write_text(f'{{"cases": [\n{lines}\n]}}\n')
    elif not close(made, json.loads(FILE.read_text())):
        sys.exit(f"{FILE.name} does not hold these figures")


main()
