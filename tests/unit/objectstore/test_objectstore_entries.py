"""What was said of a study: written once each, in order, read whole or not at all."""

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import pytest

from pacs_cloud.errors import Corrupt
from pacs_cloud.objectstore.entries import VERSION, Entries
from pacs_cloud.objectstore.keys import spread_of
from pacs_cloud.objectstore.local import LocalObjectStore

SPREAD = spread_of("1.2")
NAMES = "north", "1.2"


@dataclass(frozen=True)
class Word:
    tenant: str
    study: str
    at_us: int
    text: str

    @property
    def key(self) -> str:
        return WORDS.key(self.tenant, self.study, self.at_us, "said")


def encode(word: Word) -> bytes:
    return orjson.dumps({"version": VERSION, **asdict(word)})


WORDS = Entries(
    "words/",
    "a word",
    encode,
    lambda fields: Word(*(fields[name] for name in ("tenant", "study", "at_us", "text"))),
)


async def say(objects: LocalObjectStore, text: str, now_us: int, study: str = "1.2") -> Word:
    def word_at(at_us: int) -> Word:
        return Word("north", study, at_us, text)

    return await WORDS.enter(objects, "north", study, word_at, now_us=now_us)


def test_they_lie_by_study_and_time() -> None:
    assert WORDS.prefix() == "words/"
    assert WORDS.prefix("north") == "words/north/"
    assert WORDS.prefix(*NAMES) == f"words/north/{SPREAD}/1.2/"
    assert WORDS.key(*NAMES, 255, "said") == f"words/north/{SPREAD}/1.2/00000000000000ff-said.json"


async def test_the_last_is_the_latest_by_whatever_clock(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        said = [await say(objects, *words) for words in (("a", 7), ("b", 3), ("c", 8), ("d", 99))]
        assert [one.at_us for one in said] == [7, 8, 9, 99]
        keys = await WORDS.keys(objects, *NAMES)
        assert [await WORDS.read(objects, key) for key in keys] == said


async def test_who_comes_at_the_same_moment_comes_behind(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        other = Word(*NAMES, 7, "somebody else's")
        moments: list[int] = []

        def word_at(at_us: int) -> Word:
            if not moments:  # between the listing and the writing
                path = tmp_path / other.key
                path.parent.mkdir(parents=True)
                path.write_bytes(encode(other))
            moments.append(at_us)
            return Word(*NAMES, at_us, "mine")

        await WORDS.enter(objects, *NAMES, word_at, now_us=7)
        assert moments == [7, 8]


async def test_studies_come_one_by_one(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        for study, now_us in (("1.2", 1), ("1.3", 1), ("1.2", 2)):
            await say(objects, "x", now_us, study)
        await objects.put_new("words/north/loose.json", b"of no study")
        found = {names: keys async for names, keys in WORDS.by_study(objects, None)}
        assert {names: len(keys) for names, keys in found.items()} == {
            ("north", "1.2"): 2,
            ("north", "1.3"): 1,
        }
        assert [keys async for _, keys in WORDS.by_study(objects, "south")] == []


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version":1}', b'{"version":2}'])
async def test_what_cannot_be_read_is_not_none(tmp_path: Path, data: bytes) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        key = WORDS.key(*NAMES, 1, "said")
        await objects.put_new(key, data)
        with pytest.raises(Corrupt, match=f"^{key}: a word"):
            await WORDS.read(objects, key)
        moved = WORDS.key(*NAMES, 2, "said")
        await objects.put_new(moved, encode(Word(*NAMES, 3, "x")))
        with pytest.raises(Corrupt, match=f"^{moved}: a word .* key"):
            await WORDS.read(objects, moved)


async def test_nothing_is_entered_behind_what_tells_no_time(tmp_path: Path) -> None:
    async with LocalObjectStore(tmp_path) as objects:
        await objects.put_new(f"{WORDS.prefix(*NAMES)}strange.json", b"{}")
        with pytest.raises(Corrupt, match=r"strange\.json"):
            await say(objects, "x", 1)
