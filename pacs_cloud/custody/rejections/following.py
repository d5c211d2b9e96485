"""A trash that rejections follow: a note that is deleted rejects nothing any more."""

from pacs_cloud.custody.rejections.settling import settle_with
from pacs_cloud.custody.trash.deletion import Restored, Trash
from pacs_cloud.custody.trash.marks import Scope


class FollowedTrash(Trash):
    """Deletes and restores in one archive, and settles what notes say of it then.

    Where it dies in between, the worker's round settles it.
    """

    async def delete(self, scope: Scope) -> int:
        """As `Trash.delete`; what only notes in `scope` reject is shown again."""
        deleted = await super().delete(scope)
        await self._follow(scope)
        return deleted

    async def restore(self, scope: Scope) -> Restored:
        """As `Trash.restore`; what is rejected of it is hidden again, and so by notes in it."""
        restored = await super().restore(scope)
        await self._follow(scope)
        return restored

    async def _follow(self, scope: Scope) -> None:
        await settle_with(
            self._objects,
            self._catalogue,
            scope.tenant,
            scope.study_instance_uid,
            load_table=self._load_table,
            now_us=self._now_us(),
        )
