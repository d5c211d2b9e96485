// Where this browser is: its offset from UTC, as DICOM writes one.

const minutes = -new Date().getTimezoneOffset();
const two = (value) => String(Math.floor(Math.abs(value))).padStart(2, "0");

export const zone = `${minutes < 0 ? "-" : "+"}${two(minutes / 60)}${two(minutes % 60)}`;
