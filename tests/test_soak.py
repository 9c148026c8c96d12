"""The soak works, and finds what was lost or doubled (``make soak`` is the long one)."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from documentation import section
from soak import BEGIN, END, PAGE, Found, Soaked, found_in, is_repeated, soak, written
from soaking import Posted

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    """A soak of some seconds, with a kill and a flood."""
    return asyncio.run(soak(tmp_path_factory.mktemp("soak"), minutes=0.08, rate=50, seed=1))


def test_nothing_is_lost_and_nothing_is_doubled(soaked: Soaked) -> None:
    assert soaked.found == Found()
    assert soaked.found.is_nothing
    assert soaked.office.taken.total() > 100
    assert soaked.office.lags
    assert soaked.lives.kills
    assert soaked.weather.total()


@pytest.fixture
def over(soaked: Soaked) -> Soaked:
    """The soak, to be changed by one test: what was posted and seen is its own."""
    office = replace(
        soaked.office,
        taken=soaked.office.taken.copy(),
        awaited=dict(soaked.office.awaited),
        posts=dict(soaked.office.posts),
    )
    return replace(soaked, office=office)


def test_a_webhook_that_is_not_in_the_ledger_is_lost(over: Soaked) -> None:
    over.office.taken["contact-updated", "somebody"] += 2
    assert found_in(over) == Found(lost=2)


def test_a_newcomer_that_trakor_does_not_have_is_not_delivered(over: Soaked) -> None:
    over.office.awaited["Nobody Here"] = 0.0
    assert found_in(over) == Found(undelivered=1)


def test_a_name_that_trakor_has_twice_is_found(over: Soaked) -> None:
    parties = over.bridge.sandbox.trakor.parties
    twin = parties.insert(parties.names()[0])
    assert found_in(over) == Found(twins=1)
    parties.remove(twin.id)


def test_a_record_with_two_parties_is_found(over: Soaked, tmp_path: Path) -> None:
    shutil.copytree(over.bridge.folder, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute("UPDATE links SET record = (SELECT min(record) FROM links)")
        ledger.commit()
    copied = replace(over, bridge=replace(over.bridge, folder=tmp_path))
    assert found_in(copied).doubled == 1


def test_a_name_that_is_posted_again_for_no_reason_is_found(over: Soaked) -> None:
    first = Posted(201, 0, canary=False)
    assert not is_repeated([Posted(0, 0, canary=False), first])
    assert not is_repeated([first, Posted(200, 1, canary=False)]), "it was killed in between"
    assert not is_repeated([first, Posted(200, 0, canary=True)]), "to find out whose fault it was"
    assert is_repeated([first, Posted(200, 0, canary=False)])
    over.office.posts["Somebody"] = [first, first]
    assert found_in(over).repeated == 1


@pytest.mark.parametrize("field", [one.name for one in fields(Found)])
def test_whatever_is_found_is_not_nothing(field: str) -> None:
    assert not replace(Found(), **{field: 1}).is_nothing


def test_its_result_stands_in_the_guarantees_with_date_and_machine(soaked: Soaked) -> None:
    page = PAGE.read_text("utf-8")
    result = section(page, "What a soak found")
    assert BEGIN in result
    assert END in result
    assert re.search(
        r"^20\d\d-\d\d-\d\d, on a machine with \d+ cores, \d+ GiB of memory", result, re.MULTILINE
    )
    titles = re.findall(r"^\| ([^|]+) \|", soaked.table(), re.MULTILINE)
    assert re.findall(r"^\| ([^|]+) \|", result, re.MULTILINE) == titles
    assert "of these lost | 0 |" in result


def test_a_new_result_takes_the_place_of_the_old_one() -> None:
    page = f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n"
    assert written(page, "new") == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    with pytest.raises(RuntimeError, match="no section"):
        written("# A page without it\n", "new")
