"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SHOWN = 10;
  const make = (tag, name, text) => Object.assign(document.createElement(tag), {className: name || "", textContent: text || ""});
  const button = (name, text) => Object.assign(make("button", name, text), {type: "button"});
  const draw = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const markOf = (key) => document.querySelector(`template[data-mark="${key}"]`).content.firstElementChild.cloneNode(true);
  const short = (name, most) => name.length > most ? `${name.slice(0, most - 1).trimEnd()}…` : name;

  function explore(data) {
    const {segments, facets, weights, chart} = data;
    const byId = new Map(segments.map((each) => [each.id, each]));
    const lead = segments.find((each) => each.offered) || segments[0];
    const place = (id) => document.getElementById(id);
    const rows = new Map(Array.from(document.querySelectorAll(".ranking tbody tr"), (row) => [row.dataset.id, row]));
    const body = document.querySelector(".ranking tbody");
    const start = () => ({chosen: lead.id, weights: weights.map((each) => each.weight), picks: {}, verdict: "", isAll: false});
    let state = start();

    /* State and the address */
    const isStart = () => state.chosen === lead.id && !state.verdict && !Object.keys(state.picks).length
      && state.weights.every((weight, i) => weight === weights[i].weight);

    function readAddress() {
      const given = new URLSearchParams(location.hash.slice(1));
      if (!Array.from(given.keys()).some((key) => /^(segment|weights|verdict|only\..+)$/.test(key) && given.get(key))) return false;
      state = start();
      if (byId.has(given.get("segment"))) state.chosen = given.get("segment");
      const numbers = (given.get("weights") || "").split(",").map(Number);
      if (given.get("weights") && numbers.length === weights.length && numbers.every((each) => each >= 0 && each <= 100)) state.weights = numbers;
      if (segments.some((each) => each.key === given.get("verdict"))) state.verdict = given.get("verdict");
      facets.forEach(({id, levels}) => { if (levels.includes(given.get(`only.${id}`))) state.picks[id] = given.get(`only.${id}`); });
      return true;
    }

    function writeAddress() {
      const words = new URLSearchParams();
      if (state.chosen !== lead.id) words.set("segment", state.chosen);
      if (state.weights.some((weight, i) => weight !== weights[i].weight)) words.set("weights", state.weights.join(","));
      Object.entries(state.picks).forEach(([id, level]) => words.set(`only.${id}`, level));
      if (state.verdict) words.set("verdict", state.verdict);
      const hash = words.toString();
      try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search); } catch { location.hash = hash; }
    }

    /* What is shown, in which order */
    const scoreOf = (segment) => {
      let [sum, total] = [0, 0];
      segment.parts.forEach((part, i) => { if (part !== null) { sum += state.weights[i] * part; total += state.weights[i]; } });
      return total ? sum / total : null;
    };
    const isShown = (segment) => (!state.verdict || segment.key === state.verdict)
      && Object.entries(state.picks).every(([id, level]) => (segment.levels[id] || []).includes(level));
    const filterWords = () => [...facets.filter(({id}) => state.picks[id]).map(({id, name}) => `${name.toLowerCase()} ${state.picks[id]}`),
      ...(state.verdict ? [`verdict ${state.verdict}`] : [])].join(", ");

    function update(isQuiet) {
      const shown = segments.filter(isShown);
      if (shown.length && !shown.includes(byId.get(state.chosen))) state.chosen = (shown.find((each) => each.offered) || shown[0]).id;
      showControls();
      showRanking(shown);
      showChart(shown);
      showDetail(shown);
      showNothing(shown);
      if (!isQuiet) writeAddress();
    }

    /* Controls */
    const chips = [];
    const sliders = [];

    function addChips(box, name, options, isOn, choose) {
      const group = make("fieldset", "facet");
      group.append(make("legend", "", name));
      options.forEach(([value, text, key]) => {
        const chip = button("chip", "");
        if (key) chip.append(markOf(key));
        chip.append(text);
        if (key) chip.querySelector("svg").setAttribute("aria-hidden", "true");
        chip.addEventListener("click", () => { choose(value); update(); });
        chips.push(() => chip.setAttribute("aria-pressed", String(isOn(value))));
        group.append(chip);
      });
      box.append(group);
    }

    function addFacet(box, {id, name, levels}) {
      addChips(box, name, [["", "All"], ...levels.map((level) => [level, level])], (level) => (state.picks[id] || "") === level,
        (level) => { if (level) state.picks[id] = level; else delete state.picks[id]; });
    }

    function addSlider(box, weight, i) {
      const line = make("label", "slider");
      const head = make("span", "");
      const number = make("b", "");
      head.append(weight.name, number);
      const input = Object.assign(document.createElement("input"), {type: "range", min: 0, max: 100, step: 5});
      input.addEventListener("input", () => { state.weights[i] = Number(input.value); update(); });
      sliders.push(() => { input.value = state.weights[i]; number.textContent = String(state.weights[i]); input.style.setProperty("--at", `${state.weights[i]}%`); });
      line.append(head, input);
      box.append(line);
    }

    function buildControls() {
      const box = place("icp-controls");
      const open = button("tool-open", "Filters and weights");
      const inner = Object.assign(make("div", "inner"), {id: "icp-controls-inner"});
      open.setAttribute("aria-expanded", "false");
      open.setAttribute("aria-controls", inner.id);
      open.addEventListener("click", () => open.setAttribute("aria-expanded", String(box.classList.toggle("open"))));
      box.append(open, inner);
      facets.slice(0, 2).forEach((facet) => addFacet(inner, facet));
      if (facets.length > 2) {
        const more = make("details", "more-facets");
        more.append(make("summary", "", `${facets.length - 2} more ${facets.length === 3 ? "trait" : "traits"}`));
        facets.slice(2).forEach((facet) => addFacet(more, facet));
        more.open = facets.slice(2).some(({id}) => state.picks[id]);
        inner.append(more);
      }
      const keys = Array.from(document.querySelectorAll("template[data-mark]"), (each) => each.dataset.mark).filter((key) => segments.some((each) => each.key === key));
      const nameOf = (key) => key === "explained by" ? "Explained" : key[0].toUpperCase() + key.slice(1);
      if (keys.length > 1) addChips(inner, "Verdict", [["", "All"], ...keys.map((key) => [key, nameOf(key), key])], (key) => state.verdict === key, (key) => { state.verdict = key; });
      if (!weights.length) return;
      const group = make("fieldset", "facet weights");
      group.append(make("legend", "", "What matters to you"));
      weights.forEach((weight, i) => addSlider(group, weight, i));
      const reset = button("as-link", "Reset");
      reset.id = "icp-reset";
      reset.addEventListener("click", () => { state = start(); update(); });
      group.append(reset);
      inner.append(group);
    }

    function showControls() {
      [...chips, ...sliders].forEach((set) => set());
      place("icp-reset")?.toggleAttribute("disabled", isStart());
    }

    /* Ranking */
    let isAllShown = false;
    const all = button("as-link more-rows", "");
    all.addEventListener("click", () => { isAllShown = !isAllShown; update(true); });

    function buildRanking() {
      rows.forEach((row, id) => {
        const name = row.querySelector(".pick");
        const pick = button("pick", name.textContent);
        pick.addEventListener("click", () => { state.chosen = id; update(); });
        name.replaceWith(pick);
      });
      body.parentElement.after(all);
    }

    function showRanking(shown) {
      const scores = new Map(segments.map((each) => [each.id, scoreOf(each)]));
      const order = [...segments].sort((a, b) => (scores.get(a.id) === null) - (scores.get(b.id) === null)
        || (scores.get(b.id) || 0) - (scores.get(a.id) || 0));
      let rank = 0;
      order.forEach((segment) => {
        const row = rows.get(segment.id);
        const score = scores.get(segment.id);
        const isIn = shown.includes(segment);
        if (isIn) rank += 1;
        row.hidden = !isIn || (rank > SHOWN && !isAllShown);
        row.classList.toggle("chosen", segment.id === state.chosen);
        row.querySelector(".pick").setAttribute("aria-pressed", String(segment.id === state.chosen));
        const words = row.querySelector(".score-words");
        if (words) {
          words.textContent = score === null ? "no weight" : score.toFixed(2);
          row.querySelector(".score-bar i").style.width = `${100 * (score || 0)}%`;
        }
        body.append(row);
      });
      body.parentElement.hidden = !shown.length;
      all.hidden = shown.length <= SHOWN;
      all.textContent = isAllShown ? `First ${SHOWN}` : `All ${shown.length}`;
      all.setAttribute("aria-expanded", String(isAllShown));
    }

    /* Chart */
    function showChart(shown) {
      const box = place("icp-chart");
      if (!chart || !shown.length) { box.replaceChildren(); box.closest(".chart-box").hidden = true; return; }
      box.closest(".chart-box").hidden = false;
      const hadFocus = box.contains(document.activeElement);
      const width = Math.max(280, Math.floor(box.clientWidth || 580));
      const height = width < 420 ? 320 : 400;
      const [left, right, top, bottom] = [44, 8, 10, 42];
      const x = (log) => left + (width - left - right) * (log - chart.x[0]) / (chart.x[1] - chart.x[0]);
      const y = (at) => height - bottom - (height - top - bottom) * at / 100;
      const svg = draw("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "group",
        "aria-label": "Segments: value against number of deals. Arrow keys go from one to the next."});
      if (chart.noise.length) drawNoise(svg, x, y, width - right);
      drawAxes(svg, x, y, width, height, left, right, bottom);
      const points = shown.filter((each) => each.at).sort((a, b) => a.n - b.n);
      const heightOf = (each) => y(each.at[0] ?? each.at[3]);
      const reserved = [];
      points.forEach((each) => svg.append(drawPoint(each, x(Math.log(each.n)), y, points)));
      const chosen = points.find((each) => each.id === state.chosen);
      if (chosen) svg.append(svg.querySelector(`[data-id="${CSS.escape(chosen.id)}"]`));
      const worthy = points.filter((each) => each.id === state.chosen || each.offered || ["confirmed", "promising", "contradicted", "untested"].includes(each.key));
      worthy.sort((a, b) => (b.id === state.chosen) - (a.id === state.chosen) || b.offered - a.offered || b.n - a.n);
      points.filter((each) => each.key !== "not offered").forEach((each) => reserved.push([x(Math.log(each.n)) - 8, heightOf(each) - 8, 16, 16]));
      worthy.slice(0, 8).forEach((each) => drawName(svg, each, x(Math.log(each.n)), heightOf(each), width - right, reserved));
      box.replaceChildren(svg);
      const target = svg.querySelector('[tabindex="0"]');
      if (hadFocus) target?.focus();
    }

    function drawNoise(svg, x, y, end) {
      const upper = chart.noise.map(([log, , most]) => `${x(log).toFixed(1)},${y(most).toFixed(1)}`);
      const floor = y(chart.rest ? chart.rest[0] : 0).toFixed(1);
      const [first, last] = [x(chart.noise[0][0]).toFixed(1), x(chart.noise.at(-1)[0]).toFixed(1)];
      svg.append(draw("path", {class: "noise", d: `M${first},${floor}L${upper.join("L")}L${last},${floor}Z`}));
      svg.append(draw("path", {class: "noise-middle", d: `M${chart.noise.map(([log, half]) => `${x(log).toFixed(1)},${y(half).toFixed(1)}`).join("L")}`}));
    }

    function drawAxes(svg, x, y, width, height, left, right, bottom) {
      chart.yticks.forEach(([at, text]) => {
        svg.append(draw("line", {class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at)}));
        svg.append(draw("text", {class: "tick", x: left - 8, y: y(at) + 4, "text-anchor": "end"}, text));
      });
      let edge = -Infinity;
      chart.xticks.forEach(([log, text]) => {
        if (x(log) - edge < 34) return;
        edge = x(log);
        svg.append(draw("line", {class: "stub", x1: x(log), x2: x(log), y1: height - bottom, y2: height - bottom + 4}));
        svg.append(draw("text", {class: "tick", x: x(log), y: height - bottom + 17, "text-anchor": "middle"}, text));
      });
      svg.append(draw("text", {class: "tick", x: width - right, y: height - 5, "text-anchor": "end"}, chart.xname));
      if (chart.noise.length) svg.append(draw("text", {class: "tick", x: left, y: height - 5}, width < 420 ? "shaded: luck" : "shaded: what luck alone reaches"));
      if (!chart.rest) return;
      const at = y(chart.rest[0]);
      svg.append(draw("line", {class: "rest-line", x1: left, x2: width - right, y1: at, y2: at}));
      svg.append(draw("text", {class: "tick halo", x: width - right, y: at + 14, "text-anchor": "end"}, chart.rest[1]));
    }

    function drawPoint(segment, at, y, points) {
      const isChosen = segment.id === state.chosen;
      const [held, low, high, found] = segment.at;
      const middle = held ?? found;
      const isMarked = ["confirmed", "promising", "contradicted", "untested"].includes(segment.key);
      const point = draw("g", {class: `point ${segment.key.replaceAll(" ", "-")}${isChosen ? " chosen" : ""}`, role: "button",
        tabindex: isChosen ? "0" : "-1", "aria-pressed": String(isChosen), "aria-label": segment.label, "data-id": segment.id});
      point.append(draw("title", {}, segment.label));
      if (low !== null && high !== null) {
        point.append(draw("line", {class: "whisker", x1: at, x2: at, y1: y(low), y2: y(high)}));
        if (high >= 100) point.append(draw("path", {class: "arrow", d: `M${at - 4} ${y(100) + 6}L${at} ${y(100)}L${at + 4} ${y(100) + 6}`}));
      }
      if (held !== null && found !== null) point.append(draw("circle", {class: "found", cx: at, cy: y(found), r: 4}));
      if (isChosen) point.append(draw("circle", {class: "ring", cx: at, cy: y(middle), r: 12}));
      if (isMarked) {
        const mark = markOf(segment.key);
        mark.setAttribute("x", at - 7); mark.setAttribute("y", y(middle) - 7);
        mark.setAttribute("width", 14); mark.setAttribute("height", 14);
        mark.setAttribute("aria-hidden", "true"); mark.removeAttribute("role");
        point.append(mark);
      } else point.append(draw("circle", {class: "dot", cx: at, cy: y(middle), r: 3.2}));
      point.append(draw("circle", {class: "hit", cx: at, cy: y(middle), r: 12}));
      const choose = (id) => { state.chosen = id; update(); };
      point.addEventListener("click", () => choose(segment.id));
      point.addEventListener("keydown", (event) => {
        const step = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
        if (!step && ![" ", "Enter"].includes(event.key)) return;
        event.preventDefault();
        choose(step ? points[(points.indexOf(segment) + step + points.length) % points.length].id : segment.id);
      });
      return point;
    }

    function drawName(svg, segment, at, level, edge, reserved) {
      const text = short(segment.name, 36);
      const isChosen = segment.id === state.chosen;
      const wide = text.length * (isChosen ? 6.9 : 6.3) + 4;
      const gap = isChosen ? 16 : 11;
      const spots = [[gap, -8], [-gap - wide, -8], [gap, -22], [-gap - wide, -22], [gap, 6], [-wide / 2, -34], [-wide + 20, -34], [-wide + 20, 18]]
        .map(([dx, dy]) => [at + dx, level + dy]);
      const isOwn = ([rx, ry]) => Math.abs(rx + 8 - at) < 1 && Math.abs(ry + 8 - level) < 1;
      const isFree = ([px, py]) => px >= 46 && px + wide <= edge && py > 0 && reserved.every((box) => isOwn(box)
        || px + wide < box[0] || px > box[0] + box[2] || py + 16 < box[1] || py > box[1] + box[3]);
      const spot = spots.find(isFree) || (isChosen && spots.find(([px]) => px >= 46 && px + wide <= edge));
      if (!spot) return;
      reserved.push([spot[0], spot[1], wide, 16]);
      const isLeft = spot[0] + wide <= at;
      svg.append(draw("text", {class: `name halo${isChosen ? " chosen" : ""}`, x: isLeft ? spot[0] + wide : spot[0], y: spot[1] + 12,
        "text-anchor": isLeft ? "end" : "start", "aria-hidden": "true"}, text));
    }

    /* Detail */
    function barOf({name, text, at}) {
      const line = make("div", "detail-bar");
      const head = make("p", "");
      head.append(make("span", "", name), make("span", "", text));
      const track = make("span", "track");
      const [middle, low, high, rest] = at;
      if (low !== null && high !== null) track.append(Object.assign(make("i", "range"), {style: `left:${low}%;width:${Math.max(high - low, 0.5)}%`}));
      if (rest !== null) track.append(Object.assign(make("i", "rest"), {style: `left:${rest}%`}));
      track.append(Object.assign(make("i", "estimate"), {style: `left:${middle}%`}));
      line.append(head, track);
      return line;
    }

    function showDetail(shown) {
      const box = place("icp-detail");
      const segment = byId.get(state.chosen);
      box.hidden = !shown.length;
      box.dataset.key = segment.key;
      const verdict = make("p", "verdict");
      const mark = markOf(segment.key);
      mark.setAttribute("aria-hidden", "true");
      verdict.append(mark, make("b", "", segment.verdict));
      const lines = [verdict, make("h3", "", segment.name), make("p", "", segment.counts), ...segment.bars.map(barOf)];
      lines.push(make("p", "why", segment.sentence), ...segment.notes.map((note) => make("p", "", note)));
      if (segment.first) lines.push(make("p", "", `Chance of being first: ${segment.first}.`));
      const wanted = lines.map((line) => line.outerHTML).join("");
      if (box.dataset.shown !== wanted) { box.dataset.shown = wanted; box.replaceChildren(...lines); }
    }

    function showNothing(shown) {
      const box = place("icp-nothing");
      box.hidden = shown.length > 0;
      box.replaceChildren();
      if (shown.length) return;
      const back = button("tool-back", `Show all ${segments.length} segments`);
      back.addEventListener("click", () => { state.picks = {}; state.verdict = ""; update(); place("icp-controls").querySelector(".chip")?.focus(); });
      const words = make("p", "");
      words.append(make("b", "", `No segment matches ${filterWords()}.`));
      box.append(words, back);
    }

    const isGiven = readAddress();
    buildControls();
    buildRanking();
    update(true);
    if (isGiven) place("explorer").scrollIntoView();
    addEventListener("hashchange", () => { if (readAddress()) update(true); });
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showChart(segments.filter(isShown)); } });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const data = document.getElementById("icp-segments");
    if (data) explore(JSON.parse(data.textContent));
  });
})();
