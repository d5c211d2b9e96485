"""Which rejection notes are in force: those that are shown, and that no other one rejects."""

from typing import Final

from pacs_cloud.catalogue.judging import LoadTable, ref_of
from pacs_cloud.catalogue.port import Catalogue
from pacs_cloud.catalogue.records import HiddenReason
from pacs_cloud.custody.rejections.note import Note
from pacs_cloud.custody.rejections.registry import notes_about
from pacs_cloud.objectstore.port import ObjectStore

_STANDS: Final = frozenset({None, HiddenReason.REJECTED})
"""Why a note is hidden (None: it is not) that may be in force."""


class Force:
    """Says of notes whether they are in force, as of now; asks once about each."""

    def __init__(
        self,
        objects: ObjectStore,
        catalogue: Catalogue,
        load_table: LoadTable,
        known: dict[str, Note] | None = None,
    ) -> None:
        """Look at one archive.

        Args:
            objects: the store, with what is known of notes.
            catalogue: the catalogue.
            load_table: returns the table of a committed pack.
            known: notes that were read before, as of `notes_about`.
        """
        self._objects = objects
        self._catalogue = catalogue
        self._load_table = load_table
        self._read = {} if known is None else known
        self._about: dict[tuple[str, str], list[Note]] = {}
        self._known: dict[tuple[str, str], bool] = {}

    async def about(self, tenant: str, study_instance_uid: str) -> list[Note]:
        """Return the notes that touch a study, in force or not."""
        place = tenant, study_instance_uid
        if place not in self._about:
            self._about[place] = await notes_about(self._objects, *place, self._read)
        return self._about[place]

    async def has(self, note: Note) -> bool:
        """Return whether `note` is in force.

        Of two notes that reject each other the later one is; in a longer ring, which nobody
        can mean, it is left open which, but not whether there is an answer.

        Raises:
            Corrupt, NotFound: a note, or a pack's table, cannot be read.
            Unavailable: a store cannot be reached.
        """
        asked: list[tuple[Note, list[Note]]] = []
        await self._ask(note, asked)
        # Not by recursion: anybody may send a chain of notes of any length.
        while asked:
            one, rejecters = asked[-1]
            if not rejecters:
                self._known[_name(one)] = True
                asked.pop()
                continue
            is_rejected = self._known.get(_name(rejecters[-1]))
            if is_rejected is None:
                await self._ask(rejecters[-1], asked)
            elif is_rejected:
                asked.pop()
            else:
                rejecters.pop()
        return self._known[_name(note)]

    async def _ask(self, note: Note, asked: list[tuple[Note, list[Note]]]) -> None:
        """Put `note` behind `asked`, with those that may reject it, unless the answer is known."""
        if _name(note) not in self._known:
            self._known[_name(note)] = False  # what a ring comes back to
            if await self._stands(note):
                asked.append((note, await self._rejecters(note)))

    async def _rejecters(self, note: Note) -> list[Note]:
        """Return the notes that reject `note` if they are in force, oldest last."""
        known = await self.about(note.tenant, note.study_instance_uid)
        # Under other studies it is written down only as far as it names something there.
        whole = next((one for one in known if one.digest == note.digest), note)
        return [
            other
            for other in reversed(known)
            if other.digest != note.digest
            and other.names(note)
            and not (whole.names(other) and _age(whole) > _age(other))
        ]

    async def _stands(self, note: Note) -> bool:
        """Return whether a pack shows just this note, or hides it as rejected."""
        uid = note.sop_instance_uid
        found = (await self._catalogue.find_uids(note.tenant, [uid])).get(uid, ())
        names = note.study_instance_uid, note.series_instance_uid
        for pack in await self._catalogue.packs(note.tenant, *names):
            if ref_of(pack) not in found or pack.hidden.get(uid) not in _STANDS:
                continue
            table = await self._load_table(pack.tenant, ref_of(pack))
            if any(
                (one.sop_instance_uid, one.digest) == (uid, note.digest) for one in table.instances
            ):
                return True
        return False


def _name(note: Note) -> tuple[str, str]:
    return note.tenant, note.digest


def _age(note: Note) -> tuple[int, str]:
    return note.received_us, note.digest
