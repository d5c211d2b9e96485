"""Writes docs/openapi.json anew: `PYTHONPATH=.:tests python -m write_openapi`."""

import json
from pathlib import Path

from pacs_cloud.dicomweb.openapi import openapi_document
from pacs_cloud.dicomweb.served import served
from unit.dicomweb.test_dicomweb_openapi import routes_of

if __name__ == "__main__":
    text = json.dumps(openapi_document(served(routes_of())), indent=2, ensure_ascii=False)
    (Path(__file__).parents[1] / "docs" / "openapi.json").write_text(text + "\n")
