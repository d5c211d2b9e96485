import { install } from "./install.js";

// A study of nothing but texts has no picture.
for (const image of document.querySelectorAll(".newest img")) {
  image.addEventListener("error", () => { image.hidden = true; });
}

install();
