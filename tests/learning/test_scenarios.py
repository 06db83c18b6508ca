"""The scenarios' jobs on their real data: every file fits, and averaging gives what the project promises on `heart`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegressionCV

from node.base.types import OrgId
from node.edge.learning.alone import train_alone
from node.edge.learning.evaluation import evaluate
from node.edge.learning.features import features_of, statistics_of
from node.edge.learning.initial import initial_parameters
from node.edge.learning.model import probabilities, train
from node.edge.learning.predict import score
from node.edge.learning.preparation import prepare
from node.edge.learning.recipe import canonical_json, parse_recipe
from node.edge.learning.split import split, write_table
from node.edge.learning.statistics import combine
from node.edge.learning.table import read_rows, read_table

SCENARIOS = Path(__file__).parents[2] / "scripts" / "scenarios"
NAMES = ["credit", "drives", "flights", "heart"]
SEEDS = range(4)
SHARE_MAX = 1.5
"""A member's share of the weights is at most this over the number of members."""

Parts = dict[OrgId, tuple[Path, Path]]


def job_of(name: str) -> dict[str, Any]:
    return json.loads((SCENARIOS / name / "job.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_file_fits_its_job(name):
    job = job_of(name)
    recipe = parse_recipe(canonical_json(job["recipe"]))
    blobs = {}

    for org, file in job["members"].items():
        rows = read_rows(recipe, SCENARIOS / name / file, labelled=True)
        assert not [note for note in rows.notes if "does not name" in note]
        blobs[OrgId(org)] = statistics_of(recipe, rows)

    assert set(job) == {"name", "rounds", "members", "recipe"}
    assert prepare(recipe, combine(recipe, blobs)).length > 0
    files = {path.name for path in (SCENARIOS / name).iterdir()} - {"job.json"}
    assert set(job["members"].values()) == files


def cut(seed: int, folder: Path) -> Parts:
    """Per hospital its training and its held-out file."""
    found = {}
    for org, file in job_of("heart")["members"].items():
        parts = split(read_table(SCENARIOS / "heart" / file), "disease", seed=seed)
        paths = folder / f"{seed}-{org}.csv", folder / f"{seed}-{org}-held.csv"
        for part, path in zip(parts, paths, strict=True):
            write_table(part, path)
        found[OrgId(org)] = paths
    return found


def weights_of(counts: list[int]) -> np.ndarray:
    """Shares by rows, each at most `SHARE_MAX` over the number of members; what is cut goes to the others."""
    cap = SHARE_MAX / len(counts)
    shares = np.array(counts) / sum(counts)
    capped = np.zeros(len(counts), bool)
    while (shares > cap + 1e-9).any():
        capped |= shares > cap
        shares[capped] = cap
        shares[~capped] *= (1 - cap * capped.sum()) / shares[~capped].sum()
    return shares


def train_together(recipe_json: bytes, rounds: int, parts: Parts) -> float:
    """The averaged model's area over all held-out rows: what the network computes, without the network."""
    recipe = parse_recipe(recipe_json)
    rows = {org: read_rows(recipe, files[0], labelled=True) for org, files in parts.items()}
    plan = prepare(recipe, combine(recipe, {org: statistics_of(recipe, own) for org, own in rows.items()}))
    inputs = {org: features_of(plan, own) for org, own in rows.items()}
    shares = weights_of([own.count for own in rows.values()])
    model = initial_parameters(plan)
    for training_round in range(1, rounds + 1):
        made = []
        for org, own in rows.items():
            options = {"training_round": training_round, "stream": org, "progress": lambda _line: None}
            made.append(np.frombuffer(train(plan, model, inputs[org], own.labels, **options)[0], "<f4").astype(float))
        model = (shares @ np.array(made)).astype("<f4").tobytes()
    labels, scores = [], []
    for files in parts.values():
        held = read_rows(recipe, files[1], labelled=True)
        labels.extend(held.labels.astype(int).tolist())
        scores.extend(probabilities(plan, model, features_of(plan, held)))
    area = evaluate(labels, scores).auc
    assert area is not None
    return area


def area_of(file: bytes, parts: Parts) -> float:
    labels, scores = [], []
    for _, held in parts.values():
        found = score(file, held)
        labels.extend(found[0])
        scores.extend(found[1])
    area = evaluate(labels, scores).auc
    assert area is not None
    return area


def careful_area(recipe_json: bytes, parts: Parts) -> float:
    """Cross-validated logistic regression of scikit-learn on the pooled rows."""
    recipe = parse_recipe(recipe_json)
    rows = {org: read_rows(recipe, files[0], labelled=True) for org, files in parts.items()}
    plan = prepare(recipe, combine(recipe, {org: statistics_of(recipe, own) for org, own in rows.items()}))
    model = LogisticRegressionCV(
        Cs=10, l1_ratios=(0.0,), use_legacy_attributes=False, max_iter=2000, scoring="roc_auc", cv=5
    )
    model.fit(
        np.concatenate([features_of(plan, own) for own in rows.values()]),
        np.concatenate([own.labels for own in rows.values()]),
    )
    held = [read_rows(recipe, files[1], labelled=True) for files in parts.values()]
    scores = model.predict_proba(np.concatenate([features_of(plan, own) for own in held]))[:, 1]
    area = evaluate(np.concatenate([own.labels for own in held]).tolist(), scores.tolist()).auc
    assert area is not None
    return area


@pytest.mark.slow
def test_the_hospitals_gain_by_training_together(tmp_path):
    job = job_of("heart")
    recipe_json = canonical_json(job["recipe"])
    together, pooled, alone, careful = [], [], [], []

    for parts in (cut(seed, tmp_path) for seed in SEEDS):
        together.append(train_together(recipe_json, job["rounds"], parts))
        pooled.append(area_of(train_alone(recipe_json, [files[0] for files in parts.values()], job["rounds"]), parts))
        alone.extend(area_of(train_alone(recipe_json, [files[0]], job["rounds"]), parts) for files in parts.values())
        careful.append(careful_area(recipe_json, parts))

    assert np.mean(together) >= 0.98 * np.mean(pooled)
    assert np.mean(together) >= np.mean(alone) + 0.05
    assert np.mean(pooled) >= np.mean(careful) - 0.01
