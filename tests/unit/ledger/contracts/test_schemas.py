"""Schemas, rule by rule: a state, a call, and the writes and events that are expected."""

from dataclasses import replace

import pytest

from node.base.types import Digest, OrgId
from node.ledger.contracts.schemas import (
    CATEGORIES_MAX,
    COLUMNS_MAX,
    SCHEMAS,
    Newest,
    Register,
    Registered,
    Schema,
    SchemaColumn,
    newest,
    registered,
    schema,
)
from node.ledger.contracts.sharing import SHARING, Column, DataSet, Description
from node.ledger.contracts.sharing import Register as RegisterData
from node.testing.contract_bench import ContractBench

AGE = SchemaColumn("age", "integer", "years", "0", "120", (), "Age when examined", True, False)
SEX = SchemaColumn("sex", "text", "", None, None, ("Female", "Male"), "", True, True)
SUGAR = SchemaColumn("sugar", "number", "mmol/l", "-0.5", "99999999999999999999.25", (), "", False, True)
HEART = Register("heart", "Patients examined for coronary disease", (AGE, SEX, SUGAR))


def bench(*calls: Register) -> ContractBench:
    made = ContractBench(SCHEMAS, ("ada", "bob"))
    for call in calls:
        made.call("ada", "register", call)
    return made


def stored(call: Register, number: int, time_ms: int) -> Schema:
    return Schema(OrgId("ada"), call.name, number, call.about, call.columns, time_ms)


def test_register() -> None:
    bench().expect(
        "ada",
        "register",
        HEART,
        writes={"schema/ada/heart/00000001": stored(HEART, 1, 1_001_000), "newest/ada/heart": Newest(1)},
        events=[("registered", Registered("ada/heart/1"))],
    )


def test_a_version_never_changes_and_a_change_is_a_new_one() -> None:
    made, later = bench(HEART), replace(HEART, columns=(AGE, SEX))
    made.expect(
        "ada",
        "register",
        later,
        writes={"schema/ada/heart/00000002": stored(later, 2, 1_002_000), "newest/ada/heart": Newest(2)},
        events=[("registered", Registered("ada/heart/2"))],
    )
    assert made.refused("ada", "register", later) == "already-registered"
    assert schema(made.view, "ada/heart/1") == stored(HEART, 1, 1_001_000)
    assert newest(made.view, "ada/heart") == stored(later, 2, 1_002_000)
    made.call("ada", "register", HEART)
    assert [found.reference for found in registered(made.view)] == ["ada/heart/1", "ada/heart/2", "ada/heart/3"]


def test_two_owners_may_use_one_name() -> None:
    made = bench(HEART)
    made.call("bob", "register", HEART)
    assert [found.reference for found in registered(made.view)] == ["ada/heart/1", "bob/heart/1"]


@pytest.mark.parametrize(
    "reference",
    ["", "ada/heart", "ada/heart/0", "ada/heart/01", "ada/heart/2", "bob/heart/1", "ada/heart/1/", "a\n/b/1"],
)
def test_no_other_text_names_a_schema(reference: str) -> None:
    assert schema(bench(HEART).view, reference) is None


@pytest.mark.parametrize("name", ["", "A", "a/b", "-a", "a" * 64, "a\n", "é", "a b"])
def test_bad_names(name: str) -> None:
    assert bench().refused("ada", "register", replace(HEART, name=name)) == "bad-name"


@pytest.mark.parametrize(
    "column",
    [
        replace(AGE, name=""),
        replace(AGE, name="a" * 129),
        replace(AGE, name="a\nb"),
        replace(AGE, name="a\u2028b"),
        replace(AGE, type="int"),
        replace(AGE, unit="\x7f"),
        replace(AGE, meaning="x" * 501),
        replace(AGE, least="1.5"),
        replace(AGE, least="0x1"),
        replace(AGE, least="1" * 19),
        replace(AGE, least="121"),
        replace(SUGAR, least="1e3"),
        replace(SUGAR, most="nan"),
        replace(SUGAR, most="\u0661"),
        replace(SEX, least="0"),
        replace(SEX, categories=("a", "a")),
        replace(SEX, categories=("",)),
        replace(SEX, categories=tuple(str(at) for at in range(CATEGORIES_MAX + 1))),
        replace(SUGAR, categories=("1",)),
        replace(AGE, categories=("one",)),
    ],
)
def test_bad_columns(column: SchemaColumn) -> None:
    assert bench().refused("ada", "register", replace(HEART, columns=(column,))) == "bad-schema"


def test_a_schema_has_columns_of_different_names() -> None:
    many = tuple(replace(AGE, name=str(at)) for at in range(COLUMNS_MAX + 1))
    for columns in ((), (AGE, AGE), many):
        assert bench().refused("ada", "register", replace(HEART, columns=columns)) == "bad-schema"
    bench(replace(HEART, columns=many[:-1]))


def test_a_data_set_names_a_schema_that_is_registered() -> None:
    made = ContractBench(SHARING, ("ada", "bob"))
    described = Description("csv", "Patients", "research", 10, 2, (Column("age", "int64"),), "bob/heart/1")
    call = RegisterData("patients", Digest(bytes(32)), described)
    assert made.refused("ada", "register", call) == "unknown-schema"
    made.call("bob", "register", HEART, contract=SCHEMAS)
    made.call("ada", "register", call)
    kept = made.view.load(DataSet, "data/ada/patients")
    assert kept is not None
    assert kept.description == described
