"use strict";
// Draws what page.py put into #data. Names are shown as text only: nothing here makes HTML of them.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const make = (tag, fields = {}, ...inside) => {
    const node = Object.assign(document.createElement(tag), fields);
    node.append(...inside);
    return node;
  };

  // ---- the table: rows are kept as data, and those of one page are in the document
  const table = data.table, AXES = table.axes.length, SHORT = 24;
  const collator = new Intl.Collator("en", { numeric: true });
  const words = table.rows.map((row) => row.a.join(" ").toLowerCase());
  const state = { text: "", chosen: {}, group: table.columns.some((column) => column.main) ? "main" : "all", sort: null, down: false, page: 0, size: 25 };
  let shown = [];

  // An axis on which all rows are alike stands above the table.
  const fixed = table.axes.map((_, axis) => table.rows.every((row) => row.a[axis] === table.rows[0].a[axis]));
  const axes = table.axes.map((_, axis) => axis).filter((axis) => !fixed[axis] || axis === 1);
  const common = table.axes.map((_, axis) => axis).filter((axis) => !axes.includes(axis) && table.rows.length && table.rows[0].a[axis]).map((axis) => `${table.axes[axis]} ${table.rows[0].a[axis]}`);
  const rank = (row, column) => (column < AXES ? row.a[column] : row.m[column - AXES]?.[0]);
  function selected() {
    const wanted = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = Object.entries(state.chosen).filter(([, value]) => value !== "");
    const kept = table.rows.map((_, index) => index).filter((index) =>
      wanted.every((word) => words[index].includes(word)) && chosen.every(([axis, value]) => table.rows[index].a[axis] === value));
    if (state.sort === null) return kept;
    const sign = state.down ? -1 : 1;
    return kept.sort((a, b) => {
      const left = rank(table.rows[a], state.sort), right = rank(table.rows[b], state.sort);
      // What is absent is last in either direction: it is not the smallest.
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined) || a - b;
      return sign * (state.sort < AXES ? collator.compare(left, right) : left - right) || a - b;
    });
  }
  const columns = () => table.columns.map((_, place) => place).filter((place) =>
    (state.group === "all" || (state.group === "main" ? table.columns[place].main : table.columns[place].group === state.group)) && shown.some((row) => table.rows[row].m[place]));

  function heading(column, title, unit, numeric) {
    const sorted = state.sort === column;
    const button = make("button", { type: "button" }, title + (sorted ? (state.down ? " \u2193" : " \u2191") : ""));
    button.dataset.column = column;
    const cell = make("th", { scope: "col", className: numeric ? "number" : "" }, button);
    if (unit) cell.append(make("small", {}, unit));
    if (sorted) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    return cell;
  }
  function figure(row, place) {
    const entry = row.m[place], cell = make("td", { className: "number" });
    if (!entry) {
      cell.append(row.x && row.x[place] ? "-" : "");
      if (row.x && row.x[place]) cell.title = row.x[place];
      return cell;
    }
    const [, text, interval, reference, earlier, kind, note] = entry;
    cell.append(text);
    if (interval) cell.append(make("small", {}, interval));
    if (reference) cell.append(make("small", {}, reference));
    if (earlier) cell.append(make("small", { className: (kind || "").replaceAll(" ", "-") }, `(${earlier}${kind && kind !== "informative" ? " " + kind : ""})`));
    if (note) cell.title = note;
    return cell;
  }
  function draw(focus) {
    const places = columns(), pages = Math.max(1, Math.ceil(shown.length / state.size));
    state.page = Math.min(state.page, pages - 1);
    const head = make("tr", {}, ...axes.map((axis) => heading(axis, table.axes[axis], "", false)),
      ...places.map((place) => heading(place + AXES, table.columns[place].title, table.columns[place].unit, true)));
    const body = make("tbody");
    for (const index of shown.slice(state.page * state.size, (state.page + 1) * state.size)) {
      const row = table.rows[index];
      body.append(make("tr", { title: row.k }, ...axes.map((axis) => make("td", { className: row.a[axis].length > SHORT ? "word" : "word short" }, row.a[axis])), ...places.map((place) => figure(row, place))));
    }
    byId("table").replaceChildren(make("caption", {}, common.length ? `all of ${common.join(", ")}` : "a row each cell"), make("thead", {}, head), body);
    byId("count").textContent = `${shown.length} of ${table.rows.length} cells, ${places.length} metrics`;
    const step = (label, by, off) => make("button", { type: "button", disabled: off, onclick: () => { state.page += by; draw(); } }, label);
    byId("pager").replaceChildren(...(pages > 1 ? [step("Previous", -1, state.page === 0), ` page ${state.page + 1} of ${pages} `, step("Next", 1, state.page === pages - 1)] : []));
    if (focus !== undefined) byId("table").querySelector(`button[data-column="${focus}"]`)?.focus();
  }
  function update(focus) { shown = selected(); draw(focus); }
  byId("table").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-column]");
    if (!button) return;
    const column = Number(button.dataset.column);
    state.down = state.sort === column ? !state.down : column >= AXES && table.columns[column - AXES].better === "higher";
    state.sort = column;
    state.page = 0;
    update(column);
  });
  function filters() {
    const form = byId("filters"), again = () => { state.page = 0; update(); };
    const field = (label, control) => form.append(make("label", {}, label, control));
    field("Search", make("input", { type: "search", oninput: (event) => { state.text = event.target.value; again(); } }));
    const choice = (label, values, change) => {
      const select = make("select", { onchange: () => { change(select.value); again(); } });
      for (const [text, value] of values) select.append(new Option(text, value));
      field(label, select);
    };
    table.axes.forEach((name, axis) => {
      const values = [...new Set(table.rows.map((row) => row.a[axis]))].sort(collator.compare);
      if (values.length > 1) choice(name, [["all", ""], ...values.filter(Boolean).map((value) => [value, value])], (value) => { state.chosen[axis] = value; });
    });
    const groups = [...new Set(table.columns.map((column) => column.group))];
    choice("metrics", [...(state.group === "main" ? [["main", "main"]] : []), ["all", "all"], ...groups.map((group) => [group, group])], (value) => { state.group = value; });
    // A thousand rows at once took a browser over a second to lay out again after each click.
    choice("rows a page", [["25", 25], ["100", 100]], (value) => { state.size = Number(value); });
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  filters();
  update();

  // ---- figures: made into the document when they are near it, drawn by plotly
  const COLOURS = { light: ["#0072B2", "#C77700", "#00795A", "#A8467F", "#4FA3D9", "#8C2D04", "#6B6300"],
    dark: ["#56B4E9", "#E69F00", "#2BC79A", "#E39CC4", "#C9C9C9", "#FF8A4C", "#F0E442"] };
  let forced = null;
  const isDark = () => (forced ?? document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  // plotly reads a little HTML in its texts; names are to stand as they are.
  const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("$", "&#36;");
  const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "\u2026" : text);
  const lines = (text, most) => cut(text, 3 * most).split(" ").reduce((all, word) => (all.length && all.at(-1).length + word.length < most ? [...all.slice(0, -1), `${all.at(-1)} ${word}`] : [...all, word]), []).map(plain).join("<br>");
  const wrapped = (text) => plain(text).replace(/(.{60}\S*) /g, "$1<br>");
  const library = (async () => {
    const packed = Uint8Array.from(atob(byId("library").textContent), (letter) => letter.charCodeAt(0));
    const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(make("script", { textContent: text }));
    byId("library").remove();
    return window.Plotly;
  });
  let loading = null;
  const plotly = () => (loading ??= library());

  const errors = (one, along, colour) => {
    if (!one.low?.some((value) => value !== null)) return undefined;
    const base = along === "x" ? one.x : one.y;
    const off = (ends, sign) => ends.map((end, place) => (end === null ? 0 : Math.max(0, sign * (end - base[place]))));
    return { type: "data", symmetric: false, array: off(one.high, 1), arrayminus: off(one.low, -1), color: colour, thickness: 1, width: 3 };
  };
  // Neighbours have their names on different sides, where they do not cover each other.
  // Names beside points where there is room, those that nothing beats first: pointing at a mark tells the others.
  const LETTER = 6, LINE = 13, AROUND = 90, TALL = 220;
  function named(spec, width) {
    const points = spec.series.flatMap((one, series) => (one.labels ?? []).map((name, n) => ({ key: `${series} ${n}`, text: cut(name, 24), x: one.x[n], y: one.y[n], r: (one.sizes?.[n] ?? 7) / 2 + 1, open: one.hollow?.[n] ?? false })));
    const known = (values) => values.filter((value) => value !== null && value !== undefined);
    const range = (values) => { const low = Math.min(...values), high = Math.max(...values), pad = (high - low || Math.abs(high) || 1) * 0.06; return [low - pad, high - low + 2 * pad]; };
    const [left, wide] = range(points.map((one) => one.x)), [low, high] = range(known(spec.series.flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? [])])));
    const across = width - AROUND, at = (one) => [((one.x - left) / wide) * across, TALL - ((one.y - low) / high) * TALL];
    const taken = points.map((one) => { const [x, y] = at(one); return [x - one.r, y - one.r, x + one.r, y + one.r]; });
    const found = new Map();
    for (const one of points.sort((a, b) => a.open - b.open)) {
      const [x, y] = at(one), half = (LETTER * one.text.length) / 2, middle = LINE / 2;
      const places = { "top center": [x - half, y - one.r - LINE, x + half, y - one.r], "bottom center": [x - half, y + one.r, x + half, y + one.r + LINE], "middle right": [x + one.r, y - middle, x + one.r + 2 * half, y + middle], "middle left": [x - one.r - 2 * half, y - middle, x - one.r, y + middle] };
      const free = Object.entries(places).find(([, box]) => box[0] >= 0 && box[2] <= across + AROUND / 4 && !taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]));
      if (free) { taken.push(free[1]); found.set(one.key, { text: plain(one.text), side: free[0] }); }
    }
    return found;
  }
  const MODES = { points: "markers", both: "lines+markers", line: "lines", steps: "lines", area: "lines" };
  function trace(spec, one, place, look, names) {
    const colour = look.colours[(one.colour ? one.colour - 1 : place) % look.colours.length];
    const common = { name: cut(plain(one.name), 60), x: one.x, y: one.y, hoverinfo: "text", hovertext: (one.hover ?? one.y.map((y, n) => `${one.name}: ${one.x[n]}, ${y}`)).map(wrapped) };
    if (spec.kind === "bars") return { ...common, type: "bar", orientation: "h", marker: { color: colour }, error_x: errors(one, "x", look.ink), width: 0.75 };
    const flat = spec.kind === "dots";
    const found = { ...common, type: "scatter", mode: MODES[one.mode ?? "both"], line: { color: colour, width: 1.5, shape: one.mode === "steps" || one.mode === "area" ? "hv" : "linear" },
      marker: { color: one.hollow ? one.hollow.map((open) => (open ? look.ground : colour)) : colour, size: one.sizes ?? (one.x.length > 300 ? 3 : 7), line: { color: colour, width: one.hollow ? 1.5 : 0 }, opacity: 1 } };
    if (one.labels) Object.assign(found, { mode: "markers+text", text: one.labels.map((_, n) => names.get(`${place} ${n}`)?.text ?? ""), textposition: one.labels.map((_, n) => names.get(`${place} ${n}`)?.side ?? "top center"), textfont: { size: 10 }, cliponaxis: false });
    found[flat ? "error_x" : "error_y"] = errors(one, flat ? "x" : "y", colour);
    if (one.mode === "area") Object.assign(found, { stackgroup: "all", fillcolor: colour, line: { width: 0, shape: "hv" } });
    return found;
  }
  function drawing(spec, width) {
    const dark = isDark(), look = { ink: dark ? "#e8e8e8" : "#1a1a1a", ground: dark ? "#14171c" : "#ffffff", colours: COLOURS[dark ? "dark" : "light"] };
    const grid = dark ? "#3d434d" : "#dddddd", onBars = spec.kind === "bars" || spec.kind === "dots", narrow = width < 420;
    const axis = (one, extra) => ({ title: { text: plain(one.title ?? ""), font: { size: 12 }, standoff: 8 }, gridcolor: grid, zerolinecolor: grid, automargin: true, fixedrange: narrow, ...(one.log ? { type: "log", dtick: one.log === 2 ? Math.log10(2) : undefined, tickformat: "~r" } : {}), ...extra });
    const names = spec.ticks ?? [], places = names.map((_, place) => place);
    const every = onBars ? 1 : Math.ceil(places.length / 12);
    const ticked = names.length ? { tickmode: "array", tickvals: places.filter((place) => place % every === 0), ticktext: names.filter((_, place) => place % every === 0).map((name) => lines(name, narrow ? 22 : 40)) } : {};
    const shapes = [], notes = [];
    (spec.marks ?? []).forEach((mark, place) => {
      const across = mark.axis === "x" ? { xref: "x", yref: "paper", x0: mark.value, x1: mark.until ?? mark.value, y0: 0, y1: 1 } : { yref: "y", xref: "paper", y0: mark.value, y1: mark.until ?? mark.value, x0: 0, x1: 1 };
      const shaded = mark.until !== undefined;
      shapes.push({ type: shaded ? "rect" : "line", ...across, layer: "below", line: { color: look.ink, width: shaded ? 0 : 1, dash: "dash" }, ...(shaded ? { fillcolor: dark ? "rgba(255,138,76,.28)" : "rgba(194,74,0,.18)" } : {}) });
      if (mark.label && mark.axis === "x" && !mark.quiet) notes.push({ text: plain(cut(mark.label, 40)), xref: spec.x.log ? "x" : "x", x: spec.x.log ? Math.log10(mark.value) : mark.value, yref: "paper", y: 1 - (place % 4) * 0.08, showarrow: false, xanchor: mark.left ? "right" : "left", font: { size: 10, color: look.ink } });
    });
    const legend = spec.series.length > 1 || spec.kind === "dots";
    const height = onBars ? Math.max(150, 90 + (names.some((name) => name.length > (narrow ? 22 : 40)) ? 40 : 24) * names.length + (legend ? 30 : 0)) : 340;
    const beside = spec.series.some((one) => one.labels) ? named(spec, width) : new Map();
    return [spec.series.map((one, place) => trace(spec, one, place, look, beside)), {
      height, margin: { l: 10, r: 16, t: 10, b: 10 }, paper_bgcolor: look.ground, plot_bgcolor: look.ground, font: { color: look.ink, size: 12, family: "system-ui, sans-serif" },
      xaxis: axis(spec.x, onBars ? { rangemode: spec.kind === "bars" ? "tozero" : "normal" } : { ...ticked, rangemode: "normal" }),
      yaxis: axis(spec.y, onBars ? { ...ticked, ticklabelstandoff: 4, autorange: "reversed", showgrid: false } : { rangemode: spec.y.free ? "normal" : "tozero" }),
      shapes, annotations: notes, showlegend: legend, legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, barmode: "overlay", hovermode: "closest", hoverlabel: { align: "left" } }];
  }
  const drawn = new Set();
  async function show(node) {
    const library = await plotly();
    if (!node.isConnected) return;
    const [traces, layout] = drawing(node.spec, node.clientWidth);
    await library.react(node, traces, layout, { responsive: true, displaylogo: false, displayModeBar: false });
    drawn.add(node);
  }
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); show(entry.target); }
  }, { rootMargin: "300px" });

  const LISTED = 500;
  function numbers(spec) {
    const names = spec.ticks ?? [], onBars = spec.kind === "bars" || spec.kind === "dots";
    const rows = spec.series.flatMap((one) => one.x.slice(0, LISTED).map((x, place) => {
      const y = one.y[place];
      return make("tr", {}, make("td", {}, one.name), make("td", {}, onBars ? names[y] ?? y : names[x] ?? String(x)), make("td", { className: "number" }, String(onBars ? x : y)),
        make("td", {}, one.low && one.low[place] !== null ? `${one.low[place]} to ${one.high[place]}` : ""));
    }));
    const heads = ["series", (onBars ? "cell" : spec.x.title), (onBars ? spec.x.title : spec.y.title), "95 % interval"];
    const longer = spec.series.filter((one) => one.x.length > LISTED).map((one) => `the first ${LISTED} of ${one.x.length} points of ${one.name}`);
    return make("table", { className: "facts" }, ...(longer.length ? [make("caption", {}, longer.join("; "))] : []), make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows));
  }
  function card(spec) {
    const plot = make("div", { className: "plot", spec });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", spec.summary || spec.title);
    const details = make("details", {}, make("summary", {}, "As a table"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.children.length > 1) return;
      const wide = make("div", { className: "wide", tabIndex: 0 }, numbers(spec));
      wide.setAttribute("role", "region");
      wide.setAttribute("aria-label", spec.title);
      details.append(wide);
    });
    near.observe(plot);
    return make("figure", {}, make("figcaption", {}, spec.title, ...(spec.note ? [make("small", {}, spec.note)] : [])), plot, details);
  }
  function fill(section, specs) {
    const place = document.querySelector(`.figures[data-section="${section}"]`);
    for (const plot of place.querySelectorAll(".plot")) { near.unobserve(plot); drawn.delete(plot); if (window.Plotly) window.Plotly.purge(plot); }
    place.replaceChildren(...(specs.length ? specs.map(card) : [make("p", { className: "note" }, "none of this model")]));
  }

  // ---- figures of one model, or of all where they are few
  const all = Object.values(data.figures).flat();
  const counts = new Map();
  for (const spec of all) if (spec.group) counts.set(spec.group, (counts.get(spec.group) ?? 0) + 1);
  const models = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  const FEW = 40;
  function narrowed(model) {
    for (const [section, specs] of Object.entries(data.figures)) if (specs.length) fill(section, specs.filter((spec) => !model || !spec.group || spec.group === model));
  }
  if (models.length > 1) {
    const select = byId("model");
    if (all.length <= FEW) select.append(new Option("all models", ""));
    for (const model of models) select.append(new Option(model, model));
    select.addEventListener("change", () => narrowed(select.value));
    byId("narrow").hidden = false;
  }
  narrowed(models.length > 1 && all.length > FEW ? models[0] : "");

  // ---- the rounds of one cell
  function latency(cell) {
    const large = Math.max(...cell.y), [factor, unit] = large >= 1 ? [1, "s"] : large >= 1e-3 ? [1e3, "ms"] : [1e6, "us"];
    const scaled = (values) => values.map((value) => value * factor), four = (value) => Number(value.toPrecision(4));
    const sorted = cell.q ?? [...cell.y].sort((a, b) => a - b), shares = cell.p ?? sorted.map((_, place) => (place + 1) / sorted.length);
    const marks = Object.entries(cell.marks).map(([label, value]) => ({ axis: "x", value: value * factor, label: `${label} ${four(value * factor)} ${unit}` }));
    const told = marks.map((mark) => mark.label).join(", ") || "no percentile: too few rounds";
    const x = cell.x ?? cell.y.map((_, place) => place), disturbed = cell.b.filter((block) => block[2]);
    const blocks = disturbed.map(([first, last, why]) => ({ axis: "x", value: first + 0.5, until: last + 1.5, label: why, quiet: true }));
    const reasons = [...new Set(disturbed.map((block) => block[2]))].map((why) => cut(why, 90)).slice(0, 2).join("; ");
    const said = !cell.b.length ? "the file does not say which rounds were disturbed" : disturbed.length ? `${disturbed.length} of ${cell.b.length} blocks disturbed: ${reasons}` : "no block disturbed";
    const count = cell.x ? `${cell.y.length} of ${cell.n} rounds drawn` : `${cell.n} rounds`;
    return [
      { kind: "points", title: "Share of rounds that took at most this long", note: `${count}; ${told}`, x: { title: `time of a round [${unit}]`, log: sorted.at(-1) > 4 * sorted[0] ? 10 : 0 }, y: { title: "share of rounds" }, marks,
        series: [{ name: "rounds", mode: "steps", x: scaled(sorted).map(four), y: shares }], summary: `Distribution of ${cell.n} rounds: ${told}.` },
      { kind: "points", title: "Rounds in their order", note: `${count}; ${said}`, x: { title: "round" }, y: { title: `time [${unit}]` }, marks: blocks,
        series: [{ name: "round", mode: "points", x: x.map((place) => place + 1), y: scaled(cell.y).map(four) }], summary: `Course of ${cell.n} rounds; ${said}.` },
    ];
  }
  if (data.rounds.cells.length) {
    const select = byId("cell");
    data.rounds.cells.forEach((cell, place) => select.append(new Option(cell.name, place)));
    const chosen = () => fill("rounds", latency(data.rounds.cells[Number(select.value)]));
    select.addEventListener("change", chosen);
    chosen();
  }

  // ---- dark and light, print
  const button = byId("theme"), again = () => { for (const node of drawn) show(node); };
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`); };
  button.hidden = false;
  button.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; label(); again(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { label(); again(); });
  label();
  window.addEventListener("beforeprint", () => { forced = "light"; for (const node of document.querySelectorAll(".plot")) show(node); });
  window.addEventListener("afterprint", () => { forced = null; again(); });
})();
