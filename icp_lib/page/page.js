"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const make = (tag, name, text) => Object.assign(document.createElement(tag), {className: name, textContent: text || ""});
  const button = (name, text) => Object.assign(make("button", name, text), {type: "button"});
  const store = (value) => {
    try { return value ? localStorage.setItem("icp-theme", value) : localStorage.getItem("icp-theme"); } catch { return null; }
  };
  root.classList.add("js");
  if (["light", "dark"].includes(store())) root.dataset.theme = store();

  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function startTools() {
    document.getElementById("icp-print")?.addEventListener("click", () => print());
    const theme = document.getElementById("icp-theme");
    const name = () => theme?.setAttribute("aria-label", `Theme: ${isDark() ? "dark" : "light"}`);
    name();
    theme?.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; store(root.dataset.theme); name(); });
    const code = document.getElementById("icp-code-switch");
    code?.addEventListener("click", () => {
      const isOn = code.getAttribute("aria-checked") !== "true";
      code.setAttribute("aria-checked", String(isOn));
      code.querySelector("span").textContent = isOn ? "shown" : "hidden";
      all(".icp-code").forEach((each) => { each.open = isOn; });
    });
    const menu = document.querySelector(".menu");
    document.addEventListener("click", (event) => { if (menu && !menu.contains(event.target)) menu.open = false; });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape" && menu) menu.open = false; });
    const contents = document.querySelector(".contents details");
    if (contents && matchMedia("(max-width: 860px)").matches) contents.open = false;
  }

  const valueOf = (cell) => {
    const raw = cell.dataset.sort;
    return raw === undefined ? cell.textContent.trim().toLowerCase() : raw === "" ? null : Number(raw);
  };

  function sortBy(table, head) {
    const now = head.getAttribute("aria-sort");
    const isUp = now ? now === "descending" : !head.classList.contains("num");
    all("th[aria-sort]", table.tHead).forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const rows = all("tr", table.tBodies[0]);
    const keys = new Map(rows.map((row) => [row, valueOf(row.cells[head.cellIndex])]));
    rows.sort((one, two) => {
      const [a, b] = [keys.get(one), keys.get(two)];
      if (a === null || b === null) return (a === null) - (b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * (isUp ? 1 : -1);
    });
    table.tBodies[0].append(...rows);
  }

  const csvCell = (cell) => {
    const name = cell.querySelector(".icp-name > span");
    const text = (name ? name.firstChild.textContent : cell.innerText || cell.textContent).trim().replace(/\s+/g, " ");
    const safe = /^[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };

  function download(table, name) {
    const shown = all("tr", table).map((row) => Array.from(row.cells).filter((cell) => !cell.classList.contains("bar")));
    const text = shown.map((row) => row.map(csvCell).join(",")).join("\r\n");
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob(["\ufeff", text, "\r\n"], {type: "text/csv"})), download: `${name}.csv`});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function startTable(box) {
    const table = box.querySelector("table");
    const rows = all("tbody tr", table);
    const limit = Number(box.dataset.rows);
    const tools = make("div", "icp-tools");
    const fold = () => all("tbody tr", table).filter((row) => !row.hidden).forEach((row, i) => row.classList.toggle("more", i >= limit));
    all("thead th", table).forEach((head) => {
      if (head.classList.contains("bar")) return;
      const sort = button("icp-sort", "");
      sort.setAttribute("aria-label", `Sort by ${head.textContent.trim()}`);
      head.append(sort);
      sort.addEventListener("click", () => { sortBy(table, head); fold(); });
    });
    if (rows.length > 5) {
      const search = Object.assign(make("input", "icp-search"), {type: "search", placeholder: `Search ${rows.length} rows`});
      search.setAttribute("aria-label", `Search ${rows.length} rows`);
      const none = make("p", "icp-none");
      none.setAttribute("role", "status");
      box.append(none);
      search.addEventListener("input", () => {
        const words = search.value.trim().toLowerCase();
        rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(words); });
        none.textContent = rows.every((row) => row.hidden) ? `No row holds \u201c${search.value.trim()}\u201d.` : "";
        fold();
      });
      tools.append(search);
    }
    if (rows.length > limit) {
      const more = button("icp-more", `All ${rows.length}`);
      more.setAttribute("aria-expanded", "false");
      more.addEventListener("click", () => {
        const isOpen = box.classList.toggle("open");
        more.textContent = isOpen ? `First ${limit}` : `All ${rows.length}`;
        more.setAttribute("aria-expanded", String(isOpen));
      });
      tools.append(more);
    }
    if (box.dataset.href) tools.append(Object.assign(make("a", "icp-csv", "Download CSV"), {href: box.dataset.href, download: ""}));
    else tools.append(button("icp-csv", "Download CSV"));
    tools.querySelector("button.icp-csv")?.addEventListener("click", () => download(table, box.dataset.name));
    box.prepend(tools);
  }

  function startTerm(term) {
    const words = document.getElementById(term.getAttribute("popovertarget"));
    if (!words?.showPopover) return;
    let pinned = false;
    const show = () => {
      if (!words.matches(":popover-open")) words.showPopover();
      const at = term.getBoundingClientRect();
      words.style.left = `${Math.max(8, Math.min(at.left, innerWidth - words.offsetWidth - 8))}px`;
      const below = at.bottom + 6;
      words.style.top = `${below + words.offsetHeight < innerHeight ? below : Math.max(8, at.top - words.offsetHeight - 6)}px`;
    };
    const hide = () => { if (!pinned && words.matches(":popover-open")) words.hidePopover(); };
    words.addEventListener("toggle", (event) => { if (event.newState === "closed") pinned = false; });
    term.addEventListener("click", (event) => { event.preventDefault(); pinned = !pinned; pinned ? show() : hide(); });
    ["pointerenter", "focus"].forEach((name) => term.addEventListener(name, show));
    ["pointerleave", "blur"].forEach((name) => term.addEventListener(name, hide));
  }

  document.addEventListener("DOMContentLoaded", () => {
    startTools();
    all(".icp-table").forEach(startTable);
    all(".icp-term[popovertarget]").forEach(startTerm);
  });
})();
