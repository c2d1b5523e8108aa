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
    const print = document.getElementById("icp-print");
    const theme = document.getElementById("icp-theme");
    const code = document.getElementById("icp-code-switch");
    [print, theme, code].forEach((each) => { if (each) each.hidden = false; });
    print?.addEventListener("click", () => window.print());
    const name = () => theme?.setAttribute("aria-label", `Theme: ${isDark() ? "dark" : "light"}`);
    name();
    theme?.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; store(root.dataset.theme); name(); });
    code?.addEventListener("click", () => {
      const isOn = code.getAttribute("aria-checked") !== "true";
      code.setAttribute("aria-checked", String(isOn));
      code.querySelector("span").textContent = isOn ? "shown" : "hidden";
      all(".icp-code").forEach((each) => { each.open = isOn; });
    });
  }

  function startMenu(menu) {
    const close = () => {
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
      menu.open = false;
    };
    document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    menu.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape" && menu.open) close(); });
  }

  function startContents(contents) {
    const narrow = matchMedia("(max-width: 860px)");
    const fold = () => { contents.open = !narrow.matches; };
    fold();
    narrow.addEventListener("change", fold);
    const links = new Map(all("ol a", contents).map((link) => [document.getElementById(decodeURIComponent(link.hash.slice(1))), link]));
    const follow = () => {
      const passed = [...links.keys()].filter((head) => head && head.getBoundingClientRect().top < innerHeight / 3);
      const isEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
      const here = (isEnd ? [...links.keys()] : passed).at(-1) || links.keys().next().value;
      links.forEach((link, head) => { head === here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"); });
    };
    addEventListener("scroll", follow, {passive: true});
    follow();
  }

  function startPaper() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = all("details:not([open], .menu, .icp-code)");
      closed.forEach((each) => { each.open = true; });
    });
    addEventListener("afterprint", () => closed.forEach((each) => { each.open = false; }));
  }

  /* A search field over things that hold words; when nothing is left it says so and offers the way back. */
  function makeSearch(items, what, after) {
    const field = Object.assign(make("input", "icp-search"), {type: "search", placeholder: `Search ${items.length} ${what}`});
    field.setAttribute("aria-label", field.placeholder);
    const none = make("div", "icp-none");
    none.setAttribute("role", "status");
    const search = () => {
      const words = field.value.trim().toLowerCase();
      items.forEach((item) => { item.hidden = !item.textContent.toLowerCase().includes(words); });
      none.replaceChildren();
      if (items.every((item) => item.hidden)) {
        const back = button("icp-back", `Show all ${items.length} ${what}`);
        back.addEventListener("click", () => { field.value = ""; search(); field.focus(); });
        none.append(`Nothing matches \u201c${field.value.trim()}\u201d.`, back);
      }
      after();
    };
    field.addEventListener("input", search);
    return [field, none];
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
    const safe = /^['\s]*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
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
      head.classList.contains("num") ? head.prepend(sort) : head.append(sort);
      sort.addEventListener("click", () => { sortBy(table, head); fold(); });
    });
    if (rows.length > 5) {
      const [field, none] = makeSearch(rows, "rows", fold);
      tools.append(field);
      box.append(none);
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

  /* Hover and focus show a definition, a click or tap pins it; Esc, or a click elsewhere, closes it. */
  function startTerm(term) {
    const words = document.getElementById(term.getAttribute("aria-describedby"));
    if (!words?.showPopover) return;
    term.removeAttribute("title");
    let pinned = false, later = 0;
    const isIn = (element) => element === term || words.contains(element);
    const show = () => {
      clearTimeout(later);
      if (!words.matches(":popover-open")) words.showPopover({source: term});
      const at = term.getBoundingClientRect();
      words.style.left = `${Math.max(8, Math.min(at.left, innerWidth - words.offsetWidth - 8))}px`;
      const below = at.bottom + 6;
      words.style.top = `${below + words.offsetHeight < innerHeight ? below : Math.max(8, at.top - words.offsetHeight - 6)}px`;
    };
    const hide = () => { if (!pinned && words.matches(":popover-open")) words.hidePopover(); };
    const leave = (event) => { if (!isIn(event.relatedTarget)) { clearTimeout(later); later = setTimeout(hide, 200); } };
    words.addEventListener("toggle", (event) => { if (event.newState === "closed") pinned = false; });
    term.addEventListener("click", (event) => { event.preventDefault(); pinned = !pinned; pinned ? show() : hide(); });
    ["pointerenter", "focus"].forEach((name) => term.addEventListener(name, show));
    words.addEventListener("pointerenter", () => clearTimeout(later));
    [term, words].forEach((each) => { each.addEventListener("pointerleave", leave); each.addEventListener("focusout", leave); });
  }

  function startGlossary(head) {
    const entries = all(".entry");
    const heads = all(".part:not(.opening)");
    const show = () => heads.forEach((part) => { part.hidden = all(".entry", part).every((entry) => entry.hidden); });
    head.append(...makeSearch(entries, "words", show));
  }

  document.addEventListener("DOMContentLoaded", () => {
    startTools();
    startPaper();
    all(".menu").forEach(startMenu);
    all(".contents details").forEach(startContents);
    all(".icp-table").forEach(startTable);
    const cut = all(".icp-table .scroll").filter((scroll) => scroll.scrollWidth > scroll.clientWidth);
    cut.forEach((scroll) => scroll.parentElement.classList.add("many"));  // into the margin, where no note stands beside it
    all(".icp-term[aria-describedby]").forEach(startTerm);
    all(".glossary .opening .body").forEach(startGlossary);
  });
})();
