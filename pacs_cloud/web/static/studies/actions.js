// The bar of what is done with chosen studies is there once a study is chosen.

const form = document.getElementById("selection");
const bar = form?.querySelector(".actions");
const boxes = () => [...document.querySelectorAll('input[type=checkbox][name=study][form=selection]')];

if (bar && document.getElementById("results")) {
  const count = bar.querySelector(".actions-count");
  const none = bar.querySelector(".actions-none");
  const show = () => {
    const chosen = boxes().filter((one) => one.checked).length;
    bar.classList.toggle("idle", chosen === 0);
    bar.classList.toggle("chosen", chosen > 0);
    count.hidden = none.hidden = false;
    count.textContent = chosen === 1 ? "1 study" : `${chosen} studies`;
  };
  none.addEventListener("click", () => {
    for (const one of [...boxes(), document.getElementById("every")]) if (one) one.checked = false;
    show();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches('[form=selection], #every') || event.target === form) show();
  });
  // Rows come and go while somebody looks for others; a browser that goes back knows what was chosen.
  document.addEventListener("htmx:afterSettle", show);
  addEventListener("pageshow", show);
  show();
}
