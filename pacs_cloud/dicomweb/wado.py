"""WADO-RS: studies, series and instances (PS3.18 10.4)."""

from collections.abc import Sequence
from functools import partial

from starlette.requests import Request

from pacs_cloud.dicom import uid
from pacs_cloud.dicomweb import media
from pacs_cloud.dicomweb.addressed import addressed
from pacs_cloud.dicomweb.bundle import bundle_answer, wanted_zip
from pacs_cloud.dicomweb.negotiation import Choice, choose_instance
from pacs_cloud.dicomweb.part_answer import Part, Whole, part_answer
from pacs_cloud.dicomweb.requests import accepted, uid_of
from pacs_cloud.dicomweb.responses import Answer
from pacs_cloud.errors import NotAcceptable
from pacs_cloud.retrieve.archive import Archive
from pacs_cloud.retrieve.instances import Located, state_tag
from pacs_cloud.retrieve.pieces import Piece
from pacs_cloud.retrieve.transcodable import can_make, form_of
from pacs_cloud.security.caller import Action


class Wado:
    """The retrieve resources over one archive."""

    def __init__(self, archive: Archive, public_url: str = "") -> None:
        self._archive = archive
        self._public_url = public_url

    async def instances(self, request: Request) -> Answer:
        """Answer GET of a study, a series or an instance with Part 10 files (10.4.1.1.1-3)."""
        ranges = accepted(request)
        located = await self._locate(request)
        zipped = wanted_zip(ranges)
        if zipped is not None and zipped is ranges[0]:
            return await bundle_answer(request, self._archive, located, zipped)
        is_single = uid_of(request, "instance") is not None
        answer = await self.files(request, located, ranges, is_single=is_single)
        if answer is None and zipped is not None:
            return await bundle_answer(request, self._archive, located, zipped)
        if answer is None:
            syntaxes = {one.instance.transfer_syntax_uid for one in located}
            raise NotAcceptable(
                "The instances can be had as application/dicom in the transfer syntaxes "
                f"{', '.join(sorted(syntaxes | {uid.EXPLICIT_LE}))}."
            )
        return answer

    async def files(
        self,
        request: Request,
        located: Sequence[Located],
        ranges: Sequence[media.MediaType],
        *,
        is_single: bool,
    ) -> Answer | None:
        """Return `located` as Part 10 files, None where none of them can be had as accepted.

        Args:
            request: for its validators.
            located: what to send.
            ranges: what the client accepts, best first.
            is_single: whether it asked for one instance, so that a single part will do.
        """
        chosen = _chosen(located, ranges, is_single=is_single)
        if not chosen:
            return None
        alone = await self._alone(*chosen[0]) if len(chosen) == 1 else None
        whole = Whole(
            state_tag(one for one, _ in chosen),
            tuple(dict.fromkeys(choice for _, choice in chosen)),
            lambda: (Part(choice, alone or self._file(one, choice)) for one, choice in chosen),
            len(chosen),
            is_partial=len(chosen) < len(located),
        )
        return part_answer(request, self._archive.objects, whole)

    async def _locate(self, request: Request) -> tuple[Located, ...]:
        return await addressed(request, self._archive, Action.DOWNLOAD)

    async def _alone(self, located: Located, choice: Choice) -> Sequence[Piece]:
        """Return the only file of an answer: what is amended is, so that its length is known."""
        if choice.is_stored:
            return await self._archive.files.file(located)
        return self._file(located, choice)

    def _file(self, located: Located, choice: Choice) -> Sequence[Piece]:
        if choice.is_stored:
            return (self._archive.files.file_in_turn(located),)
        return (self._archive.transcoder.file(located, choice.transfer_syntax_uid),)


def _chosen(
    located: Sequence[Located], ranges: Sequence[media.MediaType], *, is_single: bool
) -> list[tuple[Located, Choice]]:
    """Return the instances that can be had as accepted, and how each is written."""
    if len(located) == 1:  # as it is stored, mostly: then nobody has to know its form
        (one,) = located
        choice = choose_instance(
            ranges,
            one.instance.transfer_syntax_uid,
            is_single=is_single,
            makes=lambda target: can_make(form_of(one), target),
        )
        return [] if choice is None else [(one, choice)]
    forms = [form_of(one) for one in located]
    choices = {
        form: choose_instance(
            ranges, form.transfer_syntax_uid, is_single=is_single, makes=partial(can_make, form)
        )
        for form in set(forms)
    }
    return [
        (one, choice)
        for one, form in zip(located, forms, strict=True)
        if (choice := choices[form]) is not None
    ]
