"""First parameters, training, the model file and probabilities."""

import hashlib
import json
import math
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import safetensors.numpy
import torch

from node.base.ports import LearnerError
from node.base.types import OrgId
from node.edge.learning.alone import train_alone
from node.edge.learning.features import features_of, statistics_of
from node.edge.learning.initial import initial_parameters
from node.edge.learning.model import probabilities, train
from node.edge.learning.modelfile import open_model, write_model
from node.edge.learning.optimisers import Adam, Sgd
from node.edge.learning.predict import predict, score
from node.edge.learning.preparation import Preparation, prepare, read_preparation, write_preparation
from node.edge.learning.recipe import parse_recipe
from node.edge.learning.statistics import combine
from node.edge.learning.table import read_rows, read_table

HIDDEN = {"kind": "mlp", "hidden": [5, 3]}
ROWS = "".join(f"{20 + row},{'fm'[row % 2]},{int(row > 15)}\n" for row in range(30))


def recipe(**changes: Any) -> bytes:
    training = {"epochs": 3, "batch_rows": 8, "optimiser": "sgd", "learning_rate": 0.1} | changes.pop("training", {})
    return json.dumps(
        {
            "label": "ill",
            "columns": [
                {"kind": "numeric", "name": "age", "missing": [0]},
                {"kind": "categorical", "name": "sex", "categories": ["f", "m"]},
            ],
            "model": {"kind": "logistic"},
            "training": training,
            "seed": 7,
        }
        | changes
    ).encode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("age,sex,ill\n" + ROWS)
    return path


def planned(data: Path, **changes: Any) -> tuple[Preparation, np.ndarray, np.ndarray]:
    declared = parse_recipe(recipe(**changes))
    rows = read_rows(declared, data, labelled=True)
    plan = prepare(declared, combine(declared, {OrgId("a"): statistics_of(declared, rows)}))
    return plan, features_of(plan, rows), rows.labels


def trained(data: Path, training_round: int = 1, stream: str = "a", **changes: Any) -> tuple[bytes, float]:
    plan, features, labels = planned(data, **changes)
    return train(
        plan,
        initial_parameters(plan),
        features,
        labels,
        training_round=training_round,
        stream=stream,
        progress=lambda _line: None,
    )


def test_the_first_parameters_are_these_bytes_everywhere(data):
    plan, _, _ = planned(data, model=HIDDEN)
    flat = np.frombuffer(initial_parameters(plan), "<f4")

    assert [tensor.name for tensor in plan.layout] == sorted(
        f"layers.{i}.{kind}" for i in range(3) for kind in ("bias", "weight")
    )
    assert plan.length == len(flat) == 5 * 5 + 5 + 3 * 5 + 3 + 3 + 1
    assert not flat[:5].any(), "biases begin at zero"
    assert np.abs(flat[5:30]).max() <= 1.0, "5 inputs: the largest power of two within sqrt(6/5)"
    assert np.unique(flat[5:30]).size == 25
    assert (
        hashlib.sha256(flat.tobytes()).hexdigest() == "d62dfaa621a63ef7e9875e8e7ad97bc78b1d14b237ed40d27c6e4a66b9f873e3"
    )


def test_another_seed_begins_elsewhere_and_logistic_at_zero(data):
    plan, _, _ = planned(data, model=HIDDEN)
    other, _, _ = planned(data, model=HIDDEN, seed=8)
    logistic, _, _ = planned(data)

    assert initial_parameters(plan) != initial_parameters(other)
    assert initial_parameters(logistic) == bytes(4 * logistic.length)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_the_optimisers_are_torchs(kind, decay):
    torch.manual_seed(1)
    ours = torch.randn(4, 3, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    pairs = [(ours, decay)]
    if kind == "adam":
        mine, reference = Adam(pairs, 0.05), torch.optim.AdamW([theirs], lr=0.05, weight_decay=decay)
    else:
        momentum = 0.9 if kind == "momentum" else 0.0
        mine = Sgd(pairs, 0.05, momentum)
        reference = torch.optim.SGD([theirs], lr=0.05, momentum=momentum, weight_decay=decay)

    for _ in range(20):
        reference.zero_grad()
        for value in (ours, theirs):
            (value**2 - value.cos()).sum().backward()
        mine.step()
        reference.step()

    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_one_full_batch_step_by_hand(data):
    plan, features, labels = planned(data, training={"epochs": 1, "batch_rows": None, "learning_rate_decay": 0.5})

    parameters, loss = train(
        plan, bytes(4 * plan.length), features, labels, training_round=2, stream="a", progress=lambda _line: None
    )

    error = 0.5 - labels
    step = 0.1 * 0.5**2 / len(labels)
    expected = -step * np.concatenate([[error.sum()], error @ features])
    np.testing.assert_allclose(np.frombuffer(parameters, "<f4"), expected, rtol=1e-4, atol=1e-7)
    assert loss == pytest.approx(math.log(2))


def test_training_repeats_and_depends_on_member_and_training_round(data):
    assert trained(data, model=HIDDEN) == trained(data, model=HIDDEN)
    assert trained(data, stream="b", model=HIDDEN) != trained(data, model=HIDDEN)
    assert trained(data, training_round=2, model=HIDDEN) != trained(data, model=HIDDEN)


def test_training_lowers_the_loss_and_tells_its_epochs(data):
    plan, features, labels = planned(
        data, model=HIDDEN, training={"optimiser": "adam", "epochs": 40, "learning_rate": 0.02}
    )
    told: list[str] = []

    parameters, loss = train(
        plan, initial_parameters(plan), features, labels, training_round=1, stream="a", progress=told.append
    )

    assert loss < 0.3
    assert len(told) == 40
    assert told[-1] == f"epoch 40 of 40, loss {loss:.4f}"
    found = probabilities(plan, parameters, features)
    assert min(found[20:]) > 0.5 > max(found[:10])


def test_a_member_with_one_class_trains(data):
    data.write_text("age,sex,ill\n" + "".join(f"{20 + row},f,1\n" for row in range(20)))

    _, loss = trained(data)

    assert loss < math.log(2)


def test_a_positive_row_counts_as_declared(data):
    plan, features, labels = planned(data, training={"epochs": 1, "batch_rows": None, "positive_weight": 3.0})

    _, loss = train(
        plan, bytes(4 * plan.length), features, labels, training_round=1, stream="a", progress=lambda _line: None
    )

    assert loss == pytest.approx(math.log(2) * (1 + 2 * labels.mean()))


def test_a_loss_that_is_no_number_is_told_in_words(data):
    with pytest.raises(LearnerError, match=r"not a number in epoch \d+ of training round 1|not finite"):
        trained(data, model=HIDDEN, training={"learning_rate": 100.0, "epochs": 200, "weight_decay": 100.0})


@pytest.mark.parametrize("base", [b"", bytes(8), struct.pack("<6f", 0, 0, math.nan, 0, 0, 0)])
def test_a_base_that_does_not_fit_is_refused(data, base):
    plan, features, labels = planned(data)

    with pytest.raises(LearnerError, match="The base model"):
        train(plan, base, features, labels, training_round=1, stream="a", progress=lambda _line: None)


def test_the_model_file_is_deterministic_and_opens_to_what_went_in(data):
    plan, _, _ = planned(data, model=HIDDEN)
    preparation, parameters = write_preparation(plan), trained(data, model=HIDDEN)[0]

    file = write_model(preparation, parameters)

    assert write_model(preparation, parameters) == file
    assert open_model(file) == (preparation, parameters)
    tensors = safetensors.numpy.load(file)
    assert {name: array.shape for name, array in tensors.items()} == {t.name: t.shape for t in plan.layout}
    flat = np.concatenate([tensors[name].ravel() for name in sorted(tensors)])
    assert flat.tobytes() == parameters


def hostile_files(preparation: bytes, parameters: bytes) -> dict[str, bytes]:
    good = write_model(preparation, parameters)
    tensors = safetensors.numpy.load(good)
    text = preparation.decode()

    def saved(arrays: dict[str, np.ndarray], **metadata: str) -> bytes:
        return safetensors.numpy.save(arrays, metadata or None)

    def typed(kind: str) -> bytes:
        """The same bytes with a shape and type that fit their length."""
        header = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
        size = {"BF16": 2, "F8_E4M3": 1, "C64": 8}[kind]
        header["layers.0.weight"] |= {"dtype": kind, "shape": [4 * tensors["layers.0.weight"].size // size]}
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + good[8 + int.from_bytes(good[:8], "little") :]

    weight = tensors["layers.0.weight"]
    return {
        "empty": b"",
        "nested header": struct.pack("<Q", 200_000) + b"[" * 200_000 + good,
        "header of a list": struct.pack("<Q", 2) + b"[]" + good,
        "tensors in each other's place": good.replace(b"[0,4]", b"[0,9]"),
        "cut": good[:-1],
        "longer": good + b"x",
        "pickle": pickle.dumps({"layers.0.bias": [1.0]}),
        "huge header": struct.pack("<Q", 2**62) + good[8:],
        "no metadata": saved(tensors),
        "other metadata": saved(tensors, format="pt"),
        "more metadata": saved(tensors, lepton=text, format="pt"),
        "damaged preparation": saved(tensors, lepton=text[:-1]),
        "preparation of many bytes": saved(tensors, lepton=text + " "),
        "missing tensor": saved({"layers.0.bias": tensors["layers.0.bias"]}, lepton=text),
        "extra tensor": saved(tensors | {"layers.9.bias": weight}, lepton=text),
        "wrong shape": saved(tensors | {"layers.0.weight": weight.T.copy()}, lepton=text),
        "wrong type": saved(tensors | {"layers.0.weight": weight.astype(np.float64)}, lepton=text),
        "integers": saved(tensors | {"layers.0.weight": weight.view(np.int32)}, lepton=text),
        "unknown type": good.replace(b'"F32"', b'"X99"'),
        "bfloat": good.replace(b'"dtype":"F32"', b'"dtype":"BF1"'),
        "half a float": typed("BF16"),
        "a byte": typed("F8_E4M3"),
        "complex": typed("C64"),
        "not finite": saved(tensors | {"layers.0.weight": np.full_like(weight, np.inf)}, lepton=text),
    }


def test_a_crafted_model_file_is_refused_in_words(data):
    plan, _, _ = planned(data)
    files = hostile_files(write_preparation(plan), trained(data)[0])

    for name, file in files.items():
        with pytest.raises(LearnerError) as refusal:
            open_model(file)
        assert str(refusal.value).endswith("."), name


def test_a_model_of_the_wrong_length_is_not_written(data):
    plan, _, _ = planned(data)

    with pytest.raises(LearnerError, match="its layout needs"):
        write_model(write_preparation(plan), bytes(4))


def test_raw_rows_are_scored_in_order_from_csv_and_parquet_without_label(data, tmp_path):
    file = train_alone(recipe(model=HIDDEN), [data], 5)
    raw = tmp_path / "raw.csv"
    raw.write_text("other,sex,age\nx,f,45\nx,m,20\nx,unheard,\nx,f,45\n")
    parquet = tmp_path / "raw.parquet"
    pyarrow.parquet.write_table(pa.table({"age": [45.0, 20, None, 45], "sex": ["f", "m", "unheard", "f"]}), parquet)
    notes: list[str] = []

    found = predict(file, raw, notes.append)

    assert len(found) == 4
    assert found[0] == found[3] > 0.5 > found[1]
    assert all(0 <= probability <= 1 for probability in found)
    assert predict(file, parquet) == found
    assert notes == ["column sex: 1 rows of categories that the recipe does not name"]
    labels, scored = score(file, data)
    assert labels == [0] * 16 + [1] * 14
    assert scored == predict(file, data)


def test_alone_trains_without_a_column_that_this_owner_lacks(data):
    data.write_text("age,sex,ill\n" + "".join(f",{'fm'[row % 2]},{row % 2}\n" for row in range(8)))

    file = train_alone(recipe(training={"epochs": 50}), [data, data], 2)

    preparation, _ = open_model(file)
    assert read_preparation(preparation).numeric["age"].scale == 1
    assert predict(file, data)[0] < 0.5 < predict(file, data)[1]


def test_pooled_files_are_one_table(data, tmp_path):
    table = read_table(data)
    parts = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    pyarrow.parquet.write_table(table.slice(0, 13), parts[0])
    pyarrow.parquet.write_table(table.slice(13), parts[1])

    assert predict(train_alone(recipe(), parts, 2), data) == pytest.approx(
        predict(train_alone(recipe(), [data], 2), data)
    )
