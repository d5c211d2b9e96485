// Load the first frame of instances as OHIF does: cornerstone's wadors loader, its web
// worker and its codecs. Pixels go to OUT/<SOP Instance UID>.i32, a line of JSON tells of each.
//
//   node cornerstone.mjs ROOT OUT     with one "study series instance" a line on standard input
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import Worker from "web-worker";
import XMLHttpRequest from "xhr2";

const LIMIT_MS = 20_000;

// What a browser has and Node has not. Of a canvas only the memory for colours is used.
const context = {
  createImageData: (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) }),
};
const createElement = () => ({ getContext: () => context, style: {} });
Object.assign(globalThis, { Worker, XMLHttpRequest, window: globalThis, self: globalThis });
globalThis.navigator ??= { userAgent: "node", platform: "node", hardwareConcurrency: 1 };
globalThis.document ??= { createElement };

const { init, wadors } = await import("@cornerstonejs/dicom-image-loader");

const [root, out] = process.argv.slice(2);
init({
  maxWebWorkers: 1,
  decodeConfig: { wasmBasePath: fileURLToPath(new URL("wasm", import.meta.url)) },
});

function tell(found) {
  process.stdout.write(`${JSON.stringify(found)}\n`);
}

// The loader throws in a callback of its own where a header lacks what it looks at.
process.on("uncaughtException", (error) => fail(error));

let fail = () => {};

function within(promise, limitMs) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`no image after ${limitMs} ms`)), limitMs);
  });
  const thrown = new Promise((_, reject) => {
    fail = reject;
  });
  return Promise.race([promise, late, thrown]);
}

for await (const line of createInterface({ input: process.stdin })) {
  const [study, series, instance] = line.trim().split(" ");
  const resource = `${root}/studies/${study}/series/${series}/instances/${instance}`;
  try {
    const headers = { accept: "application/dicom+json" };
    const [metadata] = await (await fetch(`${resource}/metadata`, { headers })).json();
    const imageId = `wadors:${resource}/frames/1`;
    wadors.metaDataManager.add(imageId, metadata);
    const options = { preScale: { enabled: false } };
    const image = await within(wadors.loadImage(imageId, options).promise, LIMIT_MS);
    const pixels = Int32Array.from(image.voxelManager.getScalarData());
    writeFileSync(`${out}/${instance}.i32`, Buffer.from(pixels.buffer));
    const { rows, columns, transferSyntaxUID } = image;
    tell({ instance, rows, columns, syntax: transferSyntaxUID });
  } catch (error) {
    const { message, request, status } = error?.error ?? error ?? {};
    tell({ instance, error: String(message), status: status ?? request?.status });
  }
}
process.exit(0);
