"use strict";
(() => {
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));

  function startFolds() {
    const groups = all("#known .group");
    if (matchMedia("(max-width: 700px)").matches) groups.forEach((each) => { if (each.dataset.phone) each.open = false; });
    let before = [];
    addEventListener("beforeprint", () => { before = groups.map((each) => each.open); groups.forEach((each) => { each.open = true; }); });
    addEventListener("afterprint", () => groups.forEach((each, i) => { each.open = before[i]; }));
  }

  function startTimeline() {
    const nodes = all(".timeline .node");
    const panels = all(".version-panel");
    const choose = (id) => {
      panels.forEach((panel) => { panel.hidden = panel.id !== id; });
      nodes.forEach((node) => {
        const isIt = node.hash === `#${id}`;
        node.setAttribute("aria-expanded", String(isIt));
        node.parentElement.classList.toggle("chosen", isIt);
      });
    };
    nodes.forEach((node) => {
      node.setAttribute("role", "button");
      node.setAttribute("aria-controls", node.hash.slice(1));
      const press = (event) => { event.preventDefault(); choose(node.hash.slice(1)); };
      node.addEventListener("click", press);
      node.addEventListener("keydown", (event) => { if (event.key === " ") press(event); });
    });
    const first = panels.find((panel) => "chosen" in panel.dataset);
    if (first) choose(first.id);
  }

  document.addEventListener("DOMContentLoaded", () => { startFolds(); startTimeline(); });
})();
