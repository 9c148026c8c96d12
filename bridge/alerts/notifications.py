"""What one address is to be told now, and what it knows once it has been: pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.alerts.conditions import DAY, HOUR, ONCE, OVER, AlertKind
from bridge.ledger.daemon_state import AlertSent, AlertTopic
from bridge.records import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bridge.alerts.conditions import Condition

__all__ = ["Message", "lowered", "turn"]

AGAIN_AFTER: Final = DAY
"""Milliseconds after which what lasts is said again."""

DIGEST_EVERY: Final = HOUR
"""Milliseconds between two messages about records that wait."""

ADVICE: Final = "What to do: `trakor-bridge status`, and docs/operations.md under the word in brackets."


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent to one address: all that there is to say, in one.

    Attributes:
        title: In a few words.
        body: A line for each alert.
        grave: Something is wrong; else it is over, or records wait.
    """

    title: str
    body: str
    grave: bool


def lowered(
    said: Mapping[AlertTopic, AlertSent], waiting: Mapping[AlertTopic, int]
) -> dict[AlertTopic, AlertSent]:
    """What an address knows, where records that it was told of do not wait any more: later ones are new.

    Args:
        said: What it was told.
        waiting: How many wait now.
    """
    return {
        topic: told._replace(number=min(told.number, waiting.get(topic, 0)))
        if topic.kind == AlertKind.WAITING
        else told
        for topic, told in said.items()
    }


def turn(
    found: Sequence[Condition],
    waiting: Mapping[AlertTopic, int],
    said: Mapping[AlertTopic, AlertSent],
    over: Collection[AlertTopic],
    now: int,
) -> tuple[Message | None, dict[AlertTopic, AlertSent]]:
    """What an address is to be told.

    Args:
        found: What is wrong now.
        waiting: How many records wait for a person.
        said: What it was told before (``lowered``).
        over: Topics that are surely over.
        now: The time.

    Returns:
        The message, None where there is nothing to say; and what it knows after that.
    """
    news = [one for one in found if not one.covered and _is_news(one, said.get(one.topic), now)]
    ended = [topic for topic in said if topic in over and topic.kind in OVER]
    grown = _grown(waiting, said, now)
    known = {
        topic: told for topic, told in said.items() if topic.kind == AlertKind.WAITING or topic not in over
    }
    known |= {one.topic: AlertSent(now) for one in news}
    known |= {topic: AlertSent(now, waiting[topic]) for topic in grown}
    lines = [*map(_line, news), *map(_ending, ended), *_digest(_not_told(grown, news), waiting)]
    if not lines:
        return None, known
    return Message(_title(news, ended), "\n".join([*lines, "", ADVICE]), grave=bool(news)), known


def _is_news(one: Condition, told: AlertSent | None, now: int) -> bool:
    """Never said, or a day ago; a clock that was set back far counts as well as one set forward."""
    return told is None or (one.kind not in ONCE and abs(now - told.at) >= AGAIN_AFTER)


def _grown(
    waiting: Mapping[AlertTopic, int], said: Mapping[AlertTopic, AlertSent], now: int
) -> dict[AlertTopic, int]:
    """By how many more records wait than were told of; nothing while the last digest is fresh."""
    last = max((told.at for topic, told in said.items() if topic.kind == AlertKind.WAITING), default=None)
    if last is not None and abs(now - last) < DIGEST_EVERY:
        return {}
    more = {topic: number - said.get(topic, AlertSent(0)).number for topic, number in waiting.items()}
    return {topic: number for topic, number in more.items() if number > 0}


def _not_told(grown: Mapping[AlertTopic, int], news: Sequence[Condition]) -> dict[AlertTopic, int]:
    """Without the drifted records of which the same message says that they changed alike."""
    alike = {(one.connection, one.stream) for one in news if one.kind is AlertKind.BURST}
    return {
        topic: number
        for topic, number in grown.items()
        if topic.detail != State.DRIFTED or (topic.connection, topic.stream) not in alike
    }


def _title(news: Sequence[Condition], ended: Sequence[AlertTopic]) -> str:
    """The first thing that is wrong, and how many more are."""
    if news:
        others = f" and {len(news) - 1} more" if len(news) > 1 else ""
        return f"trakor-bridge: {news[0].kind}{others}"
    return f"trakor-bridge: {ended[0].kind} is over" if ended else "trakor-bridge: records wait for you"


def _line(one: Condition) -> str:
    return f"[{one.kind}] {_whose(one.connection)}{one.text}"


def _ending(topic: AlertTopic) -> str:
    stream = f"{topic.stream} " if topic.stream else ""
    sentence = OVER[AlertKind(topic.kind)].format(stream=stream)
    return f"[{topic.kind}] Over. {_whose(topic.connection)}{sentence}"


def _whose(connection: str) -> str:
    return f"{connection}: " if connection else ""


def _digest(grown: Mapping[AlertTopic, int], waiting: Mapping[AlertTopic, int]) -> Iterator[str]:
    """A line for each connection that has more records waiting: how many more, why, and how many in all."""
    by_connection: defaultdict[str, list[AlertTopic]] = defaultdict(list)
    for topic in grown:
        by_connection[topic.connection].append(topic)
    for name, topics in by_connection.items():
        why = ", ".join(f"{_number(grown[topic], topic.stream)} ({topic.detail})" for topic in topics)
        total = sum(number for topic, number in waiting.items() if topic.connection == name)
        yield f"[{AlertKind.WAITING}] {name}: new for a person to decide: {why}. {total:,} wait in all."


def _number(number: int, stream: str) -> str:
    return f"{number:,} {stream.removesuffix('s') if number == 1 else stream}"
