"""Which frames stand for an instance, a series or a study where somebody looks at it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pacs_cloud.dicom.element_values import number
from pacs_cloud.dicom.render.presentation_state import Reference, references
from pacs_cloud.errors import NotAcceptable, NotFound
from pacs_cloud.retrieve.depiction import (
    Kind,
    is_decodable,
    is_localizer,
    kind_of,
    representatives,
)
from pacs_cloud.retrieve.frames import frame_table
from pacs_cloud.retrieve.instances import Instances, Located
from pacs_cloud.retrieve.viewed_headers import ViewedHeaders
from pacs_cloud.security.caller import Caller

MAX_IMAGES: Final = 4096
"""That a presentation state may be about, for each of them is looked up."""
_REPRESENTATIVES_TRIED: Final = 8


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame, and the presentation state that it is shown by.

    Attributes:
        located: the image.
        number: of its frame, 1 for the first; 0 for all of them, as an animation.
        state: says how it is shown; None: as the image itself says.
    """

    located: Located
    number: int
    state: Located | None = None


class ShownFrames:
    """Finds them by tables and headers; nothing is decoded."""

    def __init__(self, instances: Instances, headers: ViewedHeaders) -> None:
        self._instances = instances
        self._headers = headers

    async def representative_frame(self, located: Located) -> int:
        """Return the number of the frame that stands for all: the one it names, else the first."""
        count = self.frame_count(located)
        if count <= 1:
            return 1
        header = await self._headers.read(located)
        named = int(number(header.elements, "00286010") or 1)
        return named if 1 <= named <= count else 1

    async def middle_frame(self, located: Located) -> int:
        """Return the number of the frame that it names as representative, else the middle one."""
        count = self.frame_count(located)
        if count <= 1:
            return 1
        named = int(number((await self._headers.read(located)).elements, "00286010") or 0)
        return named if 1 <= named <= count else count // 2 + 1

    def frame_count(self, located: Located) -> int:
        """Return how many frames there are whole.

        Raises:
            NotAcceptable: none, or they cannot be told apart.
        """
        try:
            count = len(frame_table(located))
        except NotFound as error:
            raise NotAcceptable(str(error)) from error
        if not count:
            raise NotAcceptable("Its pixel data is cut short: no frame is there whole.")
        return count

    def check_frame(self, located: Located, number_of: int) -> None:
        """Return where there is such a frame; raises NotFound, NotAcceptable."""
        count = self.frame_count(located)
        if not 1 <= number_of <= count:
            raise NotFound(f"There is no frame {number_of}; there are {count}.")

    async def presented(self, caller: Caller, state: Located) -> list[Shown]:
        """Return the frames that a presentation state is about, as far as they are here, each once.

        Raises:
            NotFound: none of its images is here.
            NotAcceptable: it is about more than MAX_IMAGES.
        """
        found = [one async for one in self._presented(caller, state)]
        if not found:
            raise _nothing_presented()
        return found

    async def first_presented(self, caller: Caller, state: Located) -> Shown:
        """Return the first of what `presented` does; later images are not looked up."""
        async with aclosing(self._presented(caller, state)) as presented:
            async for one in presented:
                return one
        raise _nothing_presented()

    async def check_thumbnail(
        self, caller: Caller, located: Sequence[Located], frame: int | None
    ) -> None:
        """Raise what a thumbnail of it would, as far as it is known before anything is rendered."""
        async for _ in self.standing_for(caller, located, frame):
            return

    async def standing_for(
        self, caller: Caller, located: Sequence[Located], frame: int | None
    ) -> AsyncGenerator[Shown]:
        """Yield what a thumbnail can show, the best first, at least one.

        Args:
            caller: who asks.
            located: one instance, or those of a series or a study.
            frame: of the one instance; None: the one in the middle.

        Raises:
            NotFound: there is nothing to be seen.
            NotAcceptable: there is, but it cannot be shown.
        """
        if frame is None and len(located) == 1 and kind_of(located[0]) is Kind.STATE:
            yield await self.first_presented(caller, located[0])
            return
        candidates = representatives(located)
        if not candidates:
            raise NotFound("There is no image in it that a thumbnail could show.")
        if frame is not None:
            self.check_frame(candidates[0], frame)
        failed: NotAcceptable | None = None
        has_any = False
        for candidate in await self._without_localizers(candidates[:_REPRESENTATIVES_TRIED]):
            if not is_decodable(candidate):
                failed = failed or NotAcceptable("Its transfer syntax cannot be decoded.")
                continue
            try:
                number_of = await self.middle_frame(candidate) if frame is None else frame
            except NotAcceptable as error:
                failed = failed or error
                continue
            has_any = True
            yield Shown(candidate, number_of)
        if not has_any:
            assert failed is not None
            raise failed

    async def _presented(self, caller: Caller, state: Located) -> AsyncGenerator[Shown]:
        named = references(await self._headers.read(state))
        if len({_name(one) for one in named}) > MAX_IMAGES:
            raise NotAcceptable("The presentation state is about too many images.")
        images: dict[tuple[str, str], Located | None] = {}
        seen: set[tuple[str, str, int]] = set()
        whole: set[tuple[str, str]] = set()
        for reference in named:
            name = _name(reference)
            if name in whole:
                continue
            if name not in images:
                images[name] = await self._referenced(caller, state, reference)
            image = images[name]
            if image is None or kind_of(image) is not Kind.IMAGE:
                continue
            try:
                count = self.frame_count(image)
            except NotAcceptable:
                continue
            if not reference.frames:
                whole.add(name)
            for one in reference.frames or range(1, count + 1):
                if 1 <= one <= count and (*name, one) not in seen:
                    seen.add((*name, one))
                    yield Shown(image, one, state)

    async def _referenced(
        self, caller: Caller, state: Located, reference: Reference
    ) -> Located | None:
        try:
            (image,) = await self._instances.locate(
                caller,
                state.pack.study_instance_uid,
                reference.series_instance_uid,
                reference.sop_instance_uid,
            )
        except NotFound:
            return None
        return image

    async def _without_localizers(self, candidates: Sequence[Located]) -> list[Located]:
        """Return the candidates, localizers behind the others."""
        if len(candidates) < 2:
            return list(candidates)
        localizers = [
            one for one in candidates if is_localizer((await self._headers.read(one)).elements)
        ]
        return [one for one in candidates if one not in localizers] + localizers


def _name(reference: Reference) -> tuple[str, str]:
    return reference.series_instance_uid, reference.sop_instance_uid


def _nothing_presented() -> NotFound:
    return NotFound("None of the images that the presentation state shows is here.")
