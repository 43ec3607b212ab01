"use strict";
(() => {
  const all = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  const set = open => opened.forEach(d => { d.open = open; });
  addEventListener("beforeprint", () => { opened = all(); set(true); });
  addEventListener("afterprint", () => { set(false); opened = []; });
  const button = document.getElementById("save-data");
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = document.getElementById("data").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = button.dataset.name || "rates.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
})();
