// Call methods of dicomweb-client, the library of OHIF and of many others.
//
//   node dicomweb_client.mjs ROOT     with one {"method": …, "options": …} a line on standard input
//
// A line of JSON tells the result of each; bytes are {"bytes": base64}. In options,
// {"file": path} stands for a file's bytes.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import XMLHttpRequest from "xhr2";

globalThis.XMLHttpRequest = XMLHttpRequest;
const { api } = (await import("dicomweb-client")).default;
const client = new api.DICOMwebClient({ url: process.argv[2] });

function sent(_, value) {
  if (typeof value?.file !== "string") return value;
  const file = readFileSync(value.file);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
}

function received(_, value) {
  const isBytes = value instanceof ArrayBuffer || ArrayBuffer.isView(value);
  return isBytes ? { bytes: Buffer.from(value.buffer ?? value).toString("base64") } : value;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { method, options } = JSON.parse(line, sent);
  let told;
  try {
    told = { result: await client[method](options) };
  } catch (error) {
    told = { error: String(error?.message ?? error), status: error?.status };
  }
  process.stdout.write(`${JSON.stringify(told, received)}\n`);
}
process.exit(0);
