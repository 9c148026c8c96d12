"""The promises of docs/guarantees.md, looked for in the tables and in Trakor: one function for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge.ledger.statistics import count_states
from bridge.names import decode, key
from bridge.records import Draft, Reason, Record, Unsendable
from machine import HASHER, stream_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from machine import World

    Row = Mapping[str, Any]

__all__ = ["ALWAYS", "Tables", "kept_at_rest", "nothing_is_in_clear", "undated"]


@dataclass(frozen=True)
class Tables:
    """The ledger as it stands."""

    world: World

    @cached_property
    def rows(self) -> dict[int, Row]:
        """Number -> record."""
        return {row["number"]: row for row in self.world.book.rows("records")}

    @cached_property
    def spaces(self) -> dict[int, int]:
        """Number of a feed -> number of its space."""
        return {row["number"]: row["space"] for row in self.world.book.rows("feeds")}

    @cached_property
    def claims(self) -> dict[tuple[int, str], Row]:
        """Space and key -> claim."""
        return {(row["space"], row["key"]): row for row in self.world.book.rows("claims")}

    @cached_property
    def links(self) -> dict[str, Row]:
        """Trakor's id -> link."""
        return {row["trakor_id"]: row for row in self.world.book.rows("links")}

    @cached_property
    def waiting(self) -> dict[tuple[int, int], Row]:
        """Record and slot -> what waits."""
        return {(row["record"], row["slot"]): row for row in self.world.book.rows("waiting")}

    @cached_property
    def maps(self) -> dict[int, str]:
        """Number of what made a draft -> its map, hashed."""
        return {row["number"]: row["map"] for row in self.world.book.rows("rules")}

    @cached_property
    def parties(self) -> dict[str, tuple[str, Any]]:
        """Trakor's id -> kind, and what it has."""
        shelves = self.world.site.shelves.items()
        return {entry.id: (kind, entry) for kind, shelf in shelves for entry in shelf.entries()}

    def space(self, row: Row) -> int:
        """The space of a record's names."""
        return self.spaces[row["feed"]]

    def claim(self, row: Row) -> Row | None:
        """The claim on the name that a record is sent under, or shares."""
        return self.claims.get((self.space(row), row["sent_key"]))

    def holds(self, row: Row) -> bool:
        """Whether a record holds that claim itself."""
        claim = self.claim(row)
        return claim is not None and claim["record"] == row["number"]

    def story(self) -> str:
        """The history of all records, to be shown with a broken promise."""
        ids = {number: row["source_id"] for number, row in self.rows.items()}
        lines = self.world.book.rows("history", "ORDER BY number")
        told = [
            f"{line['at'] % 10**9} {ids[line['record']]} {line['event']}: {line['detail']}" for line in lines
        ]
        told += self.world.site.told
        return "\n".join(sorted(told, key=lambda line: int(line.partition(" ")[0]))[-400:])

    def unanswered(self, row: Row) -> bool:
        """Whether it was tried under its name, and has no answer."""
        claim = self.claim(row)
        return claim is not None and self.holds(row) and claim["attempts"] > 0 and row["trakor_id"] is None


def nothing_is_lost(now: Tables) -> None:
    """1: what was observed is in the ledger."""
    known = {row["source_id"] for row in now.rows.values()}
    assert {one for one, known in now.world.known.items() if known.data is not None} <= known


def one_source_has_one_name(now: Tables) -> None:
    """2: at most one Trakor name for each source record, unless a person or a policy said so."""
    if now.world.restored:
        return
    owned: Counter[str] = Counter()
    for trakor_id, (kind, entry) in now.parties.items():
        feed = next(iter(now.world.connections["a"].feeds.values())) if kind == "parties" else None
        if feed is None or trakor_id not in now.world.site.made_by:
            continue
        claim = now.claims.get((feed.namespace, HASHER.name_key(entry.name)))
        if claim is not None and now.links.get(trakor_id, claim)["record"] == claim["record"]:
            owned[str(now.rows[claim["record"]]["source_id"])] += 1
    for source_id, number in owned.items():
        created = now.world.connections[source_id[0]].rules.policy.on_rename == "create"
        assert created or number <= 1 + now.world.known[source_id].consents, (source_id, number)


def requests_keep_apart(now: Tables) -> None:
    """2: no two requests for one name overlap; none is sent again too early, or unclaimed."""
    assert not now.world.site.faults, now.world.site.faults


def trakor_has_no_twins(now: Tables) -> None:
    """2: one name is one party, as loosely as Trakor may read it."""
    if now.world.restored:
        return
    for kind, shelf in now.world.site.shelves.items():
        assert not shelf.twins(), (kind, shelf.twins())


def links_are_kept(now: Tables) -> None:
    """3: no two records are linked to one Trakor id, and a record's id is its own link."""
    linked = Counter(row["trakor_id"] for row in now.rows.values() if row["trakor_id"] is not None)
    assert all(number == 1 for number in linked.values()), linked
    for row in now.rows.values():
        if row["trakor_id"] is not None:
            assert now.links[row["trakor_id"]]["record"] == row["number"], row
            assert row["origin"] is not None, row


def names_are_held(now: Tables) -> None:
    """3: what is to be sent, or was answered, holds the claim on its name; the first waits sealed."""
    for row in now.rows.values():
        unsent = row["gone"] and not now.unanswered(row)
        if (row["state"] == "pending" and not unsent) or row["trakor_id"] is not None:
            assert now.holds(row), row
        if row["trakor_id"] is not None:
            claim = now.claim(row)
            assert claim is not None, row
            assert claim["answered"], row
        if row["state"] == "pending" and not unsent:
            assert (row["number"], 0) in now.waiting, row


def claims_have_a_reason(now: Tables) -> None:
    """3: a claim is held by what is pending, in flight or answered."""
    for claim in now.claims.values():
        row = now.rows[claim["record"]]
        pending = row["state"] == "pending" and row["sent_key"] == claim["key"]
        assert claim["answered"] or claim["attempts"] or pending, (dict(row), dict(claim))


def the_merged_are_stood_for(now: Tables) -> None:
    """3: whom a living record is merged into is in Trakor, is to be sent, or a person is asked about it."""
    for row in now.rows.values():
        if row["state"] != "merged" or row["gone"] or row["filtered"]:
            continue
        claimant = now.rows[row["merged_into"]]
        assert claimant["number"] != row["number"], row
        told = f"nobody stands for {row['source_id']}: not {claimant['source_id']}\n{now.story()}"
        assert _stands(now, claimant, row["sent_key"]), told


def _stands(now: Tables, claimant: Row, name: str) -> bool:
    if claimant["forgotten"] or claimant["sent_key"] != name or not now.holds(claimant):
        return False
    if claimant["state"] == "held" and claimant["reason"] in {"existing", "same-party"}:
        return True
    if claimant["trakor_id"] is not None:
        return not (claimant["gone"] or claimant["filtered"] or claimant["state"] == "dropped")
    return claimant["state"] == "pending" and (now.unanswered(claimant) or not claimant["gone"])


def nothing_differs_silently(now: Tables) -> None:
    """4: what counts as delivered, without a mark, is in Trakor as the source said when it was last read."""
    for row in now.rows.values():
        marked = row["remapped"] or row["dismissed"] or row["gone"] or row["filtered"]
        known = now.world.known[row["source_id"]]
        if row["state"] != "delivered" or marked or known.loose or not _content_known(now, row):
            continue
        policy = now.world.connections[row["source_id"][0]].rules.policy
        draft = _draft(now, row["source_id"])
        kind, entry = now.parties[row["trakor_id"]]
        assert isinstance(draft, Draft), (dict(row), draft)
        ignored = policy.on_change == "ignore" and row["sent_key"] != row["key"]  # the qualifier changed
        if row["since_at"] > row["read_at"] and now.maps.get(row["rules"]) != draft.rules.map:
            continue  # answered since it was read: what another map makes of it is decided at its next sight
        if not (row["given"] or ignored):
            assert key(entry.name) in {key(draft.payload.name), key(draft.qualified_name)}, (entry, draft)
        if policy.on_change == "report":
            wanted = list(draft.payload.fields().values())[1]
            assert _loosely(entry.text) == _loosely(wanted), (dict(row), kind, entry, draft)


def _content_known(now: Tables, row: Row) -> bool:
    """What was there before, and may have been (origin `unclear`), is not the bridge's."""
    known = decode(now.links[row["trakor_id"]]["sent"])
    return bool(known) and row["trakor_id"] in now.parties and row["trakor_id"] in now.world.site.made_by


def _draft(now: Tables, source_id: str) -> object:
    known = now.world.known[source_id]
    assert known.data is not None, source_id
    assert known.mapper is not None, source_id
    return known.mapper(Record(stream_of(source_id), source_id, known.data, known.read_at))


def _loosely(text: str) -> str:
    """Without what makes no difference (docs/decisions.md, "Canonical forms")."""
    return "".join(text.split()).casefold()


def filtered_is_what_where_says_no_to(now: Tables) -> None:
    """4: the mark `filtered` ends with the first read that `where` says yes to."""
    for row in now.rows.values():
        known = now.world.known[row["source_id"]]
        if row["filtered"] and not (row["gone"] or known.loose or known.data is None):
            made = _draft(now, row["source_id"])
            assert isinstance(made, Unsendable), (dict(row), made)
            assert made.reason is Reason.FILTERED, (dict(row), made)


def a_person_is_obeyed(now: Tables) -> None:
    """What a person decided stands until `retry`: dropped, dismissed, forgotten."""
    for row in now.rows.values():
        known = now.world.known[row["source_id"]]
        if known.dropped:
            assert row["state"] == "dropped", row
        if known.forgotten:
            assert row["forgotten"], row
            assert not [one for one in now.waiting if one[0] == row["number"]], row
        in_trakor = row["trakor_id"] is not None and not (row["gone"] or row["filtered"])
        if known.dismissed is not None and in_trakor:
            assert row["state"] == "delivered", row


def nothing_is_in_clear(now: Tables) -> None:
    """9: what a record says is not in the ledger's file, in UTF-8 or UTF-16."""
    copied = now.world.book.text()
    for word in ("zanna", "zbert", "zquill", "zq.example", "0491570", "0491 570", "pox4", "poxp", "pox5"):
        for text in {word, word.title(), word.upper()}:
            assert text.encode() not in copied, word
            assert text.encode("utf-16-le") not in copied, word


def tallies_are_right(now: Tables) -> None:
    """11: the numbers of `status` are those that counting gives."""
    marks = ("gone", "filtered", "remapped", "dismissed")
    counted = Counter(
        (row["feed"], row["state"], row["reason"] or "", frozenset(mark for mark in marks if row[mark]))
        for row in now.rows.values()
    )
    kept = {
        (feed, *kind): number
        for feed, kinds in now.world.book.write(count_states).items()
        for kind, number in kinds.items()
    }
    assert kept == counted


ALWAYS = (
    nothing_is_lost,
    one_source_has_one_name,
    requests_keep_apart,
    trakor_has_no_twins,
    links_are_kept,
    names_are_held,
    claims_have_a_reason,
    the_merged_are_stood_for,
    nothing_differs_silently,
    filtered_is_what_where_says_no_to,
    a_person_is_obeyed,
    tallies_are_right,
)
"""What holds after each step."""


def kept_at_rest(now: Tables) -> None:
    """7: all faults have ended and time has passed: nothing waits; only what was turned down is rejected."""
    for row in now.rows.values():
        waits = row["state"] == "pending" and (now.unanswered(row) or not row["gone"])
        assert not waits, f"{row['source_id']} waits for ever\n{now.story()}"
        if row["state"] == "rejected":
            turned_down = row["source_id"] in now.world.site.turned_down
            assert row["reason"] == "mapping" or turned_down or now.world.restored, row


def undated(world: World) -> dict[str, list[dict[str, Any]]]:
    """All that a sweep without changes leaves as it is."""
    tables = {
        name: [dict(row) for row in world.book.rows(name)]
        for name in ("claims", "links", "waiting", "contents", "history", "tallies")
    }
    seen = {"read_at", "sweep", "run", "missed"}
    rows = [{key: row[key] for key in row if key not in seen} for row in world.book.rows("records")]
    return {**tables, "records": rows}
