"""Turns among machines that share nothing but a cache."""

import threading
import time
from collections.abc import Callable

import pytest

from ocibuild.core.errors import NetworkError
from ocibuild.core.events import Event, discard
from ocibuild.work.cache_turn import CacheTurn


class Place:
    """What several builders see; writing takes a moment."""

    def __init__(self) -> None:
        self.word: str | None = None
        self.is_made = False
        self.makers = 0
        self.events: list[Event] = []

    def write(self, word: str) -> None:
        time.sleep(0.01)
        self.word = word

    def turn(
        self, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> CacheTurn:
        return CacheTurn(
            self.write, lambda: self.word, lambda: self.is_made, events=self.events.append, sleep=sleep, clock=clock
        )

    def build(self, *, fails: bool = False) -> None:
        with self.turn().taken() as is_made:
            if not is_made:
                self.makers += 1
                time.sleep(0.2)
                self.is_made = not fails


def test_of_many_that_begin_together_one_makes_it() -> None:
    place = Place()
    builders = [threading.Thread(target=place.build) for _ in range(5)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert place.makers == 1
    assert place.is_made
    assert len(place.events) == 4


def test_where_one_fails_another_makes_it() -> None:
    place = Place()
    first = threading.Thread(target=lambda: place.build(fails=True))
    first.start()
    time.sleep(0.1)
    place.build()
    first.join()
    assert (place.makers, place.is_made) == (2, True)


def test_a_word_that_nobody_renews_is_not_believed_for_long() -> None:
    place, now = Place(), [0.0]
    place.word = "somebody:7"

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with place.turn(sleep=sleep, clock=lambda: now[0]).taken() as is_made:
        assert not is_made
    assert 30 < now[0] < 60


def test_whoever_keeps_saying_that_he_makes_it_is_not_waited_for_for_ever() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    turn = CacheTurn(
        lambda _: None, lambda: f"somebody:{now[0]}", lambda: False, events=discard, sleep=sleep, clock=lambda: now[0]
    )
    with turn.taken() as is_made:
        assert not is_made
    assert 1000 < now[0] < 1500


def test_where_nothing_can_be_written_everybody_makes_it() -> None:
    def refuse(_: str) -> None:
        raise NetworkError("refused")

    with CacheTurn(refuse, lambda: None, lambda: False, events=discard).taken() as is_made:
        assert not is_made


def test_a_turn_that_was_given_back_is_not_renewed() -> None:
    place = Place()
    turn = place.turn()
    with turn.taken():
        turn.end()
        given_back = place.word
        place.word = "another:0"
    assert given_back is not None
    assert given_back.startswith(":")
    assert place.word == "another:0"


@pytest.mark.parametrize("word", [None, ":abc"])
def test_nobody_is_waited_for_where_nobody_makes_it(word: str | None) -> None:
    place = Place()
    place.word = word
    begun = time.monotonic()
    place.build()
    assert time.monotonic() - begun < 5
    assert place.events == []
