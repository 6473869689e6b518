from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from reporting import add_run, claims

from mlsdm.report.audit import Audit, read_audit
from mlsdm.report.page import HEADLINES, MOST_ROWS, page
from mlsdm.report.words import stable
from mlsdm.tracking import Store

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Reads a page: its ids, its links, its text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name == "href" and tag == "a":
                self.links.append(str(value))
            elif name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.loads.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    from driving import fresh_store

    store = fresh_store(tmp_path_factory, tmp_path_factory.mktemp("page"))
    add_run(store, claims(26))
    return read_audit(store)


@pytest.fixture(scope="module")
def text(audit: Audit) -> str:
    return page(audit)


def test_the_page_is_whole_and_loads_nothing(text: str) -> None:
    read = Reader(text)
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    assert all(load.startswith("#") for load in read.loads)
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(read.tags)
    assert "@import" not in text
    assert not re.search(r"url\((?!['\"]?#)", text)
    policy = text.index("Content-Security-Policy")
    assert policy < text.index("<title>")
    assert "default-src 'none'" in text[policy : policy + 200]


def test_every_claim_has_a_card_that_the_contents_lead_to(audit: Audit, text: str) -> None:
    read = Reader(text)
    assert read.tags.count("article") == len(audit.table)
    assert [link for link in read.links if link[1:] not in HEADLINES] == [
        f"#{id}" for id in audit.table["id"] if id not in HEADLINES
    ]
    assert {f"#{id}" for id in audit.table["id"]} == set(read.links)
    assert {link[1:] for link in read.links} <= set(read.ids)
    for row in audit.rows:
        card = text[text.index(f'<article class="claim" id="{row["id"]}">') :]
        card = card[: card.index("</article>")]
        assert f"{row['verdict']}</span>" in card
        assert row["explanation"] in card
        tested = row["verdict"] != "not testable here"
        assert (f"mlsdm run 05 -p claim={row['id']}<" in card) == tested
        assert ("<svg" in card) == tested
        assert ("mean <strong>" in card) == tested


def test_it_says_what_the_verdicts_add_up_to(audit: Audit, text: str) -> None:
    words = " ".join(" ".join(Reader(text).words).split())
    good, other, bad, untested = audit.counts.values()
    assert f"Of 26 claims, {26 - untested} could be tested here. {good} of these hold" in words
    assert f"{other} come out as stated but do not show what is claimed. {bad} do not" in words
    assert "up to 200 seeds" in words
    assert audit.run.id in words
    assert "numpy 2.0.0" in words
    assert "secret-package" not in words


def test_what_varies_is_marked(store: Store, audit: Audit, text: str) -> None:
    table = claims(26)
    varies = table["varies"].astype(bool)
    table.loc[varies, ["explanation", "regenerated_text", "verdict"]] = "Slow", "3 ms", "reproduced"
    add_run(store, table, version="10", commit="", dirty=True, cpu="another")
    again = page(read_audit(store))
    assert again != text
    assert stable(again) == stable(text)
    assert audit.run.id not in stable(text)
    for row in audit.rows:
        assert (f"{row['verdict']}</span>" in stable(text)) or row["varies"]


def test_markup_in_a_claim_is_shown_as_it_is(store: Store) -> None:
    hostile = '<script>alert("1")</script><!--varies-->'
    given = dict.fromkeys(("statement", "setup", "explanation", "control", "stated_text"), hostile)
    add_run(store, claims(4, **given), cpu=hostile)
    text = page(read_audit(store))
    read = Reader(text)
    assert "script" not in read.tags
    assert "&lt;script&gt;" in text
    assert text.count("<!--varies-->") == text.count("<!--same-->")


def test_forest_plots_hold_the_tested_claims_a_printed_page_each(store: Store) -> None:
    table = claims(70)
    add_run(store, table)
    text = page(read_audit(store))
    figures = re.findall(r'<figure class="forest">.*?</figure>', text, re.DOTALL)
    tested = table[table["verdict"] != "not testable here"]
    assert len(figures) > 1
    for figure in figures:
        assert sum(f">{id}<" in figure for id in tested["id"]) <= MOST_ROWS
    for id in tested["id"]:
        assert sum(f">{id}<" in figure for figure in figures) == 1, id


def test_a_store_where_nothing_could_be_tested_has_a_page_too(store: Store) -> None:
    add_run(store, claims(70).query("verdict == 'not testable here'"))
    text = page(read_audit(store))
    assert "0 could be tested here" in text
    assert '<figure class="forest">' not in text
