"""What a browser lets OHIF do: as little as it works with (CSP Level 3)."""

from typing import Final

from pacs_cloud.web.templating import PAGE_HEADERS

_PAGE: Final = (
    # Decoders are WebAssembly; nothing becomes script that was text.
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:;"
    # Its components place themselves by style attributes.
    " style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:;"
    " connect-src 'self' blob: data:; media-src 'self' blob:;"
    # Encapsulated PDFs, which it makes blobs of.
    " object-src 'self' blob:; frame-src blob:;"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_WORKER: Final = (
    # Older decoders (CharLS, libjpeg-turbo) make their functions from text. A worker's policy
    # is its own: it has no page, and what it is sent are pixels.
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; connect-src 'self'"
)
_ISOLATED: Final = {
    # Both: SharedArrayBuffer, which volumes are decoded into (HTML 7.1.4).
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
}

OHIF_PAGE_HEADERS: Final = {**PAGE_HEADERS, "content-security-policy": _PAGE, **_ISOLATED}
OHIF_FILE_HEADERS: Final = {
    # Of its URL, which names the release: for ever (RFC 8246), by whoever was let in alone.
    "cache-control": "private, max-age=31536000, immutable",
    "content-security-policy": _WORKER,
    **_ISOLATED,
}
