"""A study that comes in by C-STORE or STOW-RS has its priors recalled by the worker."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from dicomweb_archive import multipart
from test_recall_archive import NEVER_S, STUDY, house

from catalogue_samples import TENANT
from dicomweb_samples import make_instance
from pacs_cloud.bootstrap.services import now_us
from pacs_cloud.bootstrap.worker_role import serve_worker
from pacs_cloud.tiering.recall.listing import recall_of

RULES = """
[[policies]]
name = "cold"
steps = [{to = "GLACIER", study_age_days = 365}]
[[prefetch]]
name = "CT before CT"
match = {modality = "CT"}
priors = {newest = 1, same_modality = true}
"""


async def test_the_worker_fetches_priors_of_what_comes_in(tmp_path: Path) -> None:
    policies = tmp_path / "tiers.toml"
    policies.write_text(RULES)
    today = f"{datetime.now(UTC):%Y%m%d}"
    async with house(tmp_path, NEVER_S, tier_policies=policies) as made, made.web() as client:
        await made.freeze()
        new = make_instance("1.2.3.7.1.1", study="1.2.3.7", series="1.2.3.7.1", StudyDate=today)
        kind = 'multipart/related; type="application/dicom"; boundary=a-boundary'
        answer = await client.post(
            "/studies", content=multipart(new), headers={"content-type": kind}
        )
        assert answer.status_code == 200
        async with serve_worker(made.settings, made.stores):
            while not made.objects.count("recall"):
                await asyncio.sleep(0.05)
        found = await recall_of(made.objects, made.stores.catalogue, TENANT, STUDY, now_us())
        assert found.causes == ("rule: CT before CT",)
