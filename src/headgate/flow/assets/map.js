// The map: which part of the trace shows, where gradient flows in it, and what the panel says.
//
// 1. Data: columns from the page.   2. Flow: reach by value and by gradient, from the events.
// 3. View: open groups, layout.     4. Drawing: classes on the picture.   5. Panel, search, keys.
// Texts of the user's program are only ever set as textContent or as escaped labels.
"use strict";

// ---------------------------------------------------------------- 1. data

const MOST_SHOWN = 400;
const FULLY_SHOWN = 80; // of so many nodes none is folded at first
const SHOWN_AT_FIRST = 60;
const HIGH = 60; // so much of the window's height a thing takes, with the arrow to the next one
const READABLE = 0.62; // letters of 13 points are 8 pixels high then
const PANEL_ROWS = 50;
const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const { places, groups, nodes, events, sources, gradients, findings } = data;
const text = (number) => data.texts[number];
const what = (node) => text(nodes.what[node]);
const name = (node) => text(nodes.name[node]);
const kind = (node) => text(nodes.kind[node]);
const full_where = (place) => (place < 0 ? "" : `${text(places.file[place])}:${places.line[place]}`);
const where = (place) => (place < 0 ? "" : `${short_file(text(places.file[place]))}:${places.line[place]}`);
const source_text = (place) => (place < 0 ? "" : text(places.text[place]));
const count_of = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

// A file by the end of its path, as much as tells it from the others.
const file_names = [...new Set(places.file)].map(text);
const ending = (path, parts) => path.split(/[\\/]/).slice(-parts).join("/");
const short_files = new Map(file_names.map((path) => {
  let parts = 1;
  const most = path.split(/[\\/]/).length;
  while (parts < most && file_names.filter((other) => ending(other, parts) === ending(path, parts)).length > 1) parts++;
  return [path, ending(path, parts)];
}));
const short_file = (path) => short_files.get(path) ?? ending(path, 1);

const starts = (lengths) => {
  const result = new Uint32Array(lengths.length + 1);
  lengths.forEach((length, i) => { result[i + 1] = result[i] + length; });
  return result;
};
const input_from = starts(events.inputs);
const output_from = starts(events.outputs);
const inputs = Uint32Array.from(events.input);
const outputs = Uint32Array.from(events.output);
const flows = Uint8Array.from(events.flows, Number);

const children = groups.label.map(() => ({ groups: [], nodes: [] }));
groups.parent.forEach((parent, group) => { if (parent >= 0) children[parent].groups.push(group); });
nodes.group.forEach((group, node) => children[group].nodes.push(node));
const members = nodes.name.map(() => []);
events.node.forEach((node, event) => members[node].push(event));
const source_of_node = new Map(sources.node.map((node, source) => [node, source]));

// What lies in each group, those below it included. A parent's number is smaller than its child's.
const totals = groups.label.map(() => ({ ops: 0, cuts: 0, parameters: 0 }));
nodes.group.forEach((group, node) => {
  totals[group].ops += what(node) === "op" ? members[node].length : 0;
  totals[group].cuts += what(node) === "cut" ? 1 : 0;
  totals[group].parameters += what(node) === "parameter" ? 1 : 0;
});
for (let group = groups.label.length - 1; group > 0; group--)
  for (const key of Object.keys(totals[group])) totals[groups.parent[group]][key] += totals[group][key];

// For each input, the node that its value comes from, -1 for data. Gradient calls take values too.
const origin = new Int32Array(data.values).fill(-1);
sources.value.forEach((value, source) => { origin[value] = sources.node[source]; });
const origin_of_input = new Int32Array(inputs.length);
for (let event = 0; event < events.node.length; event++) {
  for (let i = input_from[event]; i < input_from[event + 1]; i++) origin_of_input[i] = origin[inputs[i]];
  for (let o = output_from[event]; o < output_from[event + 1]; o++) origin[outputs[o]] = events.node[event];
}
const event_of_input = new Uint32Array(inputs.length);
for (let event = 0; event < events.node.length; event++)
  event_of_input.fill(event, input_from[event], input_from[event + 1]);

// ---------------------------------------------------------------- 2. flow

// Values that are reached from the given ones on paths of values, or of gradient only.
function forward(from, by_gradient) {
  const reached = new Uint8Array(data.values);
  for (const value of from) reached[value] = 1;
  for (let event = 0; event < events.node.length; event++)
    for (let i = input_from[event]; i < input_from[event + 1]; i++)
      if (reached[inputs[i]] && (flows[i] || !by_gradient)) {
        for (let o = output_from[event]; o < output_from[event + 1]; o++) reached[outputs[o]] = 1;
        break;
      }
  return reached;
}

function leads_on(reached, event) {
  for (let o = output_from[event]; o < output_from[event + 1]; o++) if (reached[outputs[o]]) return true;
  return false;
}

// Values from which the given ones are reached.
function backward(to, by_gradient) {
  const reached = new Uint8Array(data.values);
  for (const value of to) reached[value] = 1;
  for (let event = events.node.length - 1; event >= 0; event--)
    if (leads_on(reached, event))
      for (let i = input_from[event]; i < input_from[event + 1]; i++)
        if (flows[i] || !by_gradient) reached[inputs[i]] = 1;
  return reached;
}

// Norms that are no numbers come as texts. One that was not measured is null or undefined.
const is_broken = (norm) => norm !== null && norm !== undefined && !Number.isFinite(Number(norm));

// Gradient could flow to a source that was asked for, and nothing came: a custom rule gave nothing.
const refused = (gradient, norm_of_source, value, source) =>
  norm_of_source.get(source) === null && !gradient.targets.includes(value);

// All that the page says of one gradient call: where gradient flows, and the verdict on each source.
function flow_of(call) {
  const gradient = gradients[call];
  const by_value = backward(gradient.targets, false);
  const by_gradient = backward(gradient.targets, true);
  const live = forward(gradient.sources.map((source) => sources.value[source]), true);
  const carries = new Uint8Array(inputs.length);
  for (let i = 0; i < inputs.length; i++)
    carries[i] = flows[i] && live[inputs[i]] && leads_on(by_gradient, event_of_input[i]) ? 1 : 0;
  const norm = new Map(gradient.values.map((value, i) => [value, Number(gradient.cotangents[i])]));
  const norm_of_source = new Map(gradient.sources.map((source, i) => [source, gradient.norms[i]]));
  const verdicts = sources.value.map((value, source) => {
    const norm = norm_of_source.get(source);
    const came = norm !== null && norm !== undefined;
    if (came || (by_gradient[value] && !refused(gradient, norm_of_source, value, source))) {
      return norm === 0 ? "zero" : is_broken(norm) ? "not finite" : "connected";
    }
    return by_value[value] ? "cut" : "unused";
  });
  return { call, gradient, by_value, by_gradient, carries, norm, norm_of_source, verdicts };
}

// What lies between one source and the targets: inputs and events on paths of values, and the cuts.
function path_of(flow, source) {
  const reached = forward([sources.value[source]], false);
  const live = forward([sources.value[source]], true);
  const measured = new Set(flow.gradient.alive.map(([event, position]) => input_from[event] + position));
  const on_input = new Uint8Array(inputs.length);
  const carries = new Uint8Array(inputs.length);
  const on_node = new Uint8Array(nodes.name.length);
  const is_cut = flow.verdicts[source] === "cut";
  const cuts = [];
  let first = -1, zero_at = -1, zero_measured = -1;
  for (let event = 0; event < events.node.length; event++) {
    if (!leads_on(flow.by_value, event)) continue;
    let stops = false, on = false;
    for (let i = input_from[event]; i < input_from[event + 1]; i++) {
      if (!reached[inputs[i]]) continue;
      on = true;
      on_input[i] = 1;
      carries[i] = flow.carries[i] && live[inputs[i]] ? 1 : 0;
      stops ||= !flows[i] && kind(events.node[event]) !== "";
      stops ||= is_cut && carries[i] && flow.by_gradient[inputs[i]] && refuses(flow, event, i);
      if (measured.has(i)) zero_measured = event;
      else if (carries[i] && flow.norm.get(inputs[i]) === 0 && feeds_nonzero(flow, event)) zero_at = event;
    }
    if (!on) continue;
    on_node[events.node[event]] = 1;
    if (first < 0) first = event;
    if (stops) cuts.push(event);
  }
  if (is_cut && !cuts.length && first >= 0) cuts.push(first); // nobody watches it: cut at its first use
  on_node[sources.node[source]] = 1;
  on_node[flow.gradient.node] = 1;
  return { source, on_input, carries, on_node, cuts, zero_at: zero_measured >= 0 ? zero_measured : zero_at };
}

// The event was given a cotangent and gave none.
function refuses(flow, event, input) {
  if (flow.norm.has(inputs[input])) return false;
  for (let o = output_from[event]; o < output_from[event + 1]; o++)
    if (flow.norm.has(outputs[o])) return true;
  return false;
}

function feeds_nonzero(flow, event) {
  for (let o = output_from[event]; o < output_from[event + 1]; o++)
    if (flow.norm.get(outputs[o]) > 0) return true;
  return false;
}

// Cuts that keep gradient from a parameter that should have it: of the findings, if somebody judged;
// else of all parameters that were asked for and got none anywhere. Other cuts are drawn quietly.
const MOST_JUDGED = 100;

function missing_sources() {
  const calls = gradients.map((_, call) => call);
  const some = calls.length > 2 * PANEL_ROWS ? [...calls.slice(0, PANEL_ROWS), ...calls.slice(-PANEL_ROWS)] : calls;
  const found = new Map(), healthy = new Set();
  const named = new Set(findings.map((finding) => finding.parameter));
  for (const call of some) {
    const { verdicts, gradient } = flow_of(call);
    for (const source of gradient.sources) {
      if (verdicts[source] === "connected") healthy.add(source);
      if (verdicts[source] === "cut" && !found.has(source)) found.set(source, call);
    }
  }
  return [...found].filter(([source]) => data.judged
    ? named.has(text(sources.name[source]))
    : !healthy.has(source) && sources.trainable[source]).slice(0, MOST_JUDGED);
}

function nodes_to_blame(finding) {
  const there = nodes_at(finding);
  const cuts = there.filter((node) => kind(node) === finding.kind);
  const chosen = cuts.length ? cuts : [node_of(finding)];
  return chosen.filter((node) => node !== undefined && what(node) !== "target");
}

const blamed = new Set(), loud = new Set();

function judge() {
  for (const finding of findings) for (const node of nodes_to_blame(finding)) blamed.add(node);
  for (const node of blamed) loud.add(node);
  const flows_known = new Map();
  for (const [source, call] of missing_sources()) {
    if (!flows_known.has(call)) flows_known.set(call, flow_of(call));
    for (const event of path_of(flows_known.get(call), source).cuts) loud.add(events.node[event]);
  }
  loud.forEach((node) => { for (const group of chain_of(nodes.group[node])) totals[group].loud = true; });
}

// ---------------------------------------------------------------- 3. view

const state = {
  open: new Set([0]),
  used: new Map(), // group -> when it was last opened, so that the oldest ones close first
  clock: 0,
  flow: null,
  path: null,
  selected: null, // "n7" or "g3"
  aside: false, // whether what leads to no loss shows
  only: false, // whether nothing but the path shows
  wished: null, // what the reader said about that
  finding: -1, // which one is chosen
  edges: [], // of the picture that shows
  coming: [], // of the one that is being laid out
  panzoom: null,
};

function chain_of(group) {
  const chain = [];
  for (let at = group; at >= 0; at = groups.parent[at]) chain.unshift(at);
  return chain;
}

const shown_node = (node) => {
  const closed = chain_of(nodes.group[node]).find((group) => !state.open.has(group));
  return closed === undefined ? `n${node}` : `g${closed}`;
};

const visible = (node) =>
  (!state.only || !state.path || state.path.on_node[node] > 0) &&
  (state.aside || nodes.leads[node] > 0 || blamed.has(node) || Boolean(state.path?.on_node[node]));

// How many nodes show in each group: in itself, and with those below it.
const showing = { own: [], all: [] };

function count_visible() {
  showing.own = groups.label.map(() => 0);
  nodes.group.forEach((group, node) => { if (visible(node)) showing.own[group]++; });
  showing.all = [...showing.own];
  for (let group = groups.label.length - 1; group > 0; group--)
    showing.all[groups.parent[group]] += showing.all[group];
}

const inner_groups = (group) => children[group].groups.filter((child) => showing.all[child]);

const number_shown = () => {
  const visit = (group) => state.open.has(group)
    ? showing.own[group] + inner_groups(group).reduce((sum, g) => sum + visit(g), 0)
    : 1;
  return visit(0);
};

// Open groups, the outer ones first, as long as not more than so many things show.
function open_more(most) {
  count_visible();
  const queue = [0];
  for (const group of queue) {
    const opened = state.open.has(group);
    state.open.add(group);
    if (group && !opened && number_shown() > most) state.open.delete(group);
    else queue.push(...inner_groups(group));
  }
}

function open_at_first() {
  state.open = new Set([0]);
  count_visible();
  open_more(showing.all[0] <= FULLY_SHOWN ? FULLY_SHOWN : SHOWN_AT_FIRST);
}

// Open the groups around something; close those that were opened longest ago if too much shows.
function open_groups(chain) {
  count_visible();
  for (const group of chain) {
    state.open.add(group);
    state.used.set(group, ++state.clock);
  }
  const kept = new Set(chain);
  const oldest = [...state.open].filter((group) => group && !kept.has(group))
    .sort((a, b) => (state.used.get(a) ?? 0) - (state.used.get(b) ?? 0));
  while (number_shown() > MOST_SHOWN && oldest.length) state.open.delete(oldest.shift());
}

const below = (group) => children[group].groups.flatMap((child) => [child, ...below(child)]);

function close_group(group) {
  for (const inner of [group, ...below(group)]) state.open.delete(inner);
}

const escaped = (words) => words
  .replace(/[\u0000-\u001f\u007f-\u009f\ud800-\udfff\ufffe\uffff]/g, "\ufffd")
  .replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const short = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}\u2026` : words);
const strong = (words) => `<B>${escaped(short(words, 42))}</B>`;
// Drawn smaller than it is laid out, so that lines do not touch.
const minor = (words) => `<BR/><FONT POINT-SIZE="11">${escaped(short(words, 40))}</FONT>`;
const quoted = (words) =>
  `<BR/><FONT POINT-SIZE="11" FACE="Courier">${escaped(short(words, 34))}</FONT>`;
const base_name = (path) => path.replace(/^.*[\\/](?=[^\\/])/, "");

// File and line of a place in so many letters; of a long name the middle is left out.
function short_place(place, most) {
  const words = base_name(where(place));
  const over = words.length - Math.max(most, 12);
  if (over <= 0) return words;
  const end = words.length - Math.max(words.lastIndexOf("."), 0);
  const start = Math.max(words.length - over - 1 - end, 4);
  return `${words.slice(0, start)}\u2026${words.slice(-end)}`;
}
const LOOK = {
  op: { shape: "box", style: "rounded" },
  cut: { shape: "octagon", fontsize: 16, margin: "0,0" },
  parameter: { shape: "box" },
  target: { shape: "ellipse" },
  quiet: { shape: "box", style: "rounded" },
};
const is_quiet = (node) => what(node) === "cut" && !loud.has(node);
const look = (node) => (is_quiet(node) ? "quiet" : what(node));

function node_label(node) {
  const times = members[node].length;
  const place = nodes.place[node];
  const parts = [strong(name(node) || "\u2014")];
  if (what(node) === "parameter")
    return parts[0] + minor(text(sources.shape[source_of_node.get(node)]));
  if (what(node) === "target") return minor("gradient of").replace("<BR/>", "") + "<BR/>" + parts[0] + minor(short_place(place, 32));
  if (what(node) === "cut" && kind(node) !== name(node) && !is_quiet(node)) parts.push(minor(kind(node)));
  const many = times > 1 ? `\u00d7 ${times.toLocaleString("en")}  ` : "";
  const shape = what(node) === "op" && text(events.shape[members[node][times - 1]]).replace(/^.*\[/, "[");
  const size = shape && shape !== "[]" ? `  ${shape}` : "";
  const below = (many + short_place(place, 32 - many.length - size.length) + size).trim();
  if (below) parts.push(minor(below));
  if (what(node) === "cut" && source_text(place) && !is_quiet(node)) parts.push(quoted(source_text(place)));
  return parts.join("");
}

function group_summary(group) {
  const { ops, cuts, parameters } = totals[group];
  return [
    count_of(ops, "op"),
    parameters && count_of(parameters, "parameter"),
    cuts && count_of(cuts, "cut"),
  ].filter(Boolean).join(", ");
}

const drawn_node = (node) => ({
  name: `n${node}`,
  attributes: {
    id: `n${node}`,
    class: is_quiet(node) ? "cut quiet" : what(node),
    label: { html: node_label(node) },
    ...LOOK[look(node)],
  },
});

const drawn_closed = (group) => ({
  name: `g${group}`,
  attributes: {
    id: `g${group}`,
    class: totals[group].loud ? "group cuts" : "group",
    label: { html: strong(`+ ${text(groups.label[group])}`) + minor(group_summary(group)) },
    shape: "folder",
  },
});

function drawn_group(group) {
  const inner = inner_groups(group);
  return {
    nodes: [
      ...children[group].nodes.filter(visible).map(drawn_node),
      ...inner.filter((child) => !state.open.has(child)).map(drawn_closed),
    ],
    subgraphs: inner.filter((child) => state.open.has(child)).map((child) => ({
      name: `cluster_${child}`,
      graphAttributes: {
        id: `g${child}`,
        label: { html: strong(`\u2212 ${text(groups.label[child])}`) },
        labeljust: "l",
        fontsize: 13,
        style: "rounded",
        margin: 10,
      },
      ...drawn_group(child),
    })),
  };
}

// One edge for each pair of things that show; `uses` are the inputs (or the targets) behind it.
function edges_shown() {
  const shown = nodes.name.map((_, node) => (visible(node) ? shown_node(node) : null));
  const edges = new Map();
  const add = (from, to, use) => {
    if (from < 0 || shown[from] === null || shown[to] === null || shown[from] === shown[to]) return;
    const key = `${shown[from]} ${shown[to]}`;
    if (!edges.has(key)) edges.set(key, { tail: shown[from], head: shown[to], inputs: [], values: [] });
    edges.get(key)[use.kind].push(use.at);
  };
  for (let i = 0; i < inputs.length; i++)
    add(origin_of_input[i], events.node[event_of_input[i]], { kind: "inputs", at: i });
  gradients.forEach((gradient, call) => {
    for (const value of gradient.targets)
      add(origin[value], gradient.node, { kind: "values", at: [call, value] });
  });
  return [...edges.values()];
}

const layout = { worker: null, ready: null, number: 0 };

async function start_layout() {
  const packed = Uint8Array.from(atob(find("layout").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const program = await new Response(stream).blob();
  const address = URL.createObjectURL(new Blob([program], { type: "text/javascript" }));
  layout.worker = new Worker(address);
  layout.worker.onmessage = ({ data: { number, svg, error } }) => {
    if (number !== layout.number) return; // a newer one is on its way
    if (!error) return show_picture(svg);
    find("status").textContent = `The layout failed; fold some groups. (${error})`;
    layout.worker.terminate(); // a failure can leave the library without memory
    layout.ready = start_layout();
  };
}

function draw(focus) {
  count_visible();
  tell_what_shows();
  state.focus = focus ?? state.selected;
  state.coming = edges_shown();
  find("status").textContent = "Drawing\u2026";
  const graph = {
    graphAttributes: {
      rankdir: "TB", bgcolor: "transparent", fontname: "Helvetica", fontsize: 13, nodesep: 0.16,
      ranksep: 0.21,
    },
    nodeAttributes: { fontname: "Helvetica", fontsize: 13, margin: "0.09,0.03", height: 0.3 },
    edgeAttributes: { arrowsize: 0.6 },
    edges: state.coming.map(({ tail, head }, number) => ({ tail, head, attributes: { id: `e${number}` } })),
    ...drawn_group(0),
  };
  const number = ++layout.number;
  layout.ready.then(() => layout.worker.postMessage({ number, graph }));
}

// ---------------------------------------------------------------- 4. drawing

function show_picture(svg) {
  const drawing = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  drawing.removeAttribute("width");
  drawing.removeAttribute("height");
  drawing.setAttribute("role", "group");
  drawing.setAttribute("aria-label", "Parameters above, losses below; each part can be chosen");
  for (const edge of drawing.querySelectorAll("g.edge")) edge.setAttribute("aria-hidden", "true");
  for (const title of drawing.querySelectorAll("title")) title.remove();
  const focused = document.activeElement?.closest?.("#canvas svg g")?.id;
  state.panzoom?.destroy();
  state.edges = state.coming;
  picture()?.remove();
  find("canvas").prepend(drawing);
  state.panzoom = svgPanZoom(drawing, {
    minZoom: 0.05, maxZoom: 20, zoomScaleSensitivity: 0.3, dblClickZoomEnabled: false,
  });
  for (const element of drawing.querySelectorAll("g.node, g.cluster")) make_button(element);
  for (const element of drawing.querySelectorAll("g.node")) fit_texts(element);
  for (const element of drawing.querySelectorAll("g.cluster")) fit_title(element);
  find("status").textContent = "";
  paint();
  aim();
  if (focused) find(focused)?.focus({ preventScroll: true });
  document.body.dataset.drawn = layout.number;
}

// Graphviz lays out without fonts and takes Helvetica's widths; another one stays inside by this.
function fit_texts(element) {
  const shape = element.querySelector("path, polygon, ellipse")?.getBBox();
  if (!shape) return;
  const room = shape.width * (element.querySelector("ellipse") ? 0.8 : 1) - 14;
  for (const line of element.querySelectorAll("text")) {
    line.setAttribute("text-anchor", "middle");
    line.setAttribute("x", shape.x + shape.width / 2);
    if (line.getComputedTextLength() <= room) continue;
    line.setAttribute("textLength", room);
    line.setAttribute("lengthAdjust", "spacingAndGlyphs");
  }
}

function fit_title(element) {
  const shape = element.querySelector(":scope > path, :scope > polygon")?.getBBox();
  const title = element.querySelector(":scope > text");
  if (!shape || !title || title.getComputedTextLength() <= shape.width - 16) return;
  title.setAttribute("textLength", shape.width - 16);
  title.setAttribute("lengthAdjust", "spacingAndGlyphs");
}

function make_button(element) {
  const number = Number(element.id.slice(1));
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  const hint = document.createElementNS("http://www.w3.org/2000/svg", "title");
  hint.textContent = element.id.startsWith("g")
    ? text(groups.label[number])
    : [[name(number), kind(number)].filter(Boolean).join(": "), full_where(nodes.place[number]),
      source_text(nodes.place[number])].filter(Boolean).join("\n");
  element.prepend(hint);
  if (element.id.startsWith("g")) {
    element.setAttribute("aria-expanded", String(state.open.has(number)));
    element.setAttribute("aria-label", `group ${text(groups.label[number])}, ${group_summary(number)}`);
  } else {
    element.setAttribute("aria-label",
      [what(number), name(number), kind(number), where(nodes.place[number]),
        blamed.has(number) ? "of a finding" : ""].filter(Boolean).join(", "));
  }
}

const picture = () => find("canvas").querySelector("svg");
const POINTS = ["g.blamed", "g.gate", "g.cut:not(.quiet)", "g.cuts", "g.target", "g.node", "g"]; // what to look at first

// Show the path of the chosen parameter whole, or all there is. What could not be read that way
// shows at a size that can be read: nothing but the path, and if need be the middle of it.
function aim() {
  const lit = state.path ? [...picture().querySelectorAll("g.node.on")] : [];
  const parts = lit.length ? lit : [...picture().querySelectorAll("g.node, g.cluster")];
  if (!parts.length) return;
  const frame = find("canvas").getBoundingClientRect();
  const box = bounds(parts);
  const { realZoom } = state.panzoom.getSizes();
  const room = Math.min((frame.width - 40) / box.width, (frame.height - 40) / box.height);
  const fitting = Math.min(realZoom * room, 1.3);
  if (fitting < READABLE && lit.length && !state.only && state.wished !== false) return show_only(true);
  const zoom = fitting < READABLE ? 0.7 : fitting;
  state.panzoom.zoom(state.panzoom.getZoom() * zoom / realZoom);
  const element = state.focus && find(state.focus);
  const point = element ?? POINTS.map((each) => picture().querySelector(each)).find(Boolean);
  settled(() => (fitting < READABLE ? centre([point]) : centre(parts)));
}

function bounds(elements) {
  const boxes = elements.map((element) => element.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
  return {
    left, top,
    width: Math.max(...boxes.map((box) => box.right)) - left,
    height: Math.max(...boxes.map((box) => box.bottom)) - top,
  };
}

// svg-pan-zoom moves the picture in the next frame; what is to be measured waits for it.
const settled = (then) => requestAnimationFrame(() => requestAnimationFrame(then));

// Bring elements to the middle, as far as no room is left empty beside the picture for that.
function centre(elements) {
  const frame = find("canvas").getBoundingClientRect();
  const box = bounds(elements), all = bounds([...picture().querySelectorAll("g.node, g.cluster")]);
  const along = (start, size, low, length, whole) => {
    const move = start + size / 2 - low - length / 2;
    if (whole.length <= size) return start + size / 2 - whole.low - whole.length / 2;
    return Math.min(Math.max(move, start + size - 20 - whole.low - whole.length), start + 20 - whole.low);
  };
  state.panzoom.panBy({
    x: along(frame.left, frame.width, box.left, box.width, { low: all.left, length: all.width }),
    y: along(frame.top, frame.height, box.top, Math.min(box.height, frame.height),
      { low: all.top, length: all.height }),
  });
}

// Small gradients are violet and thin, large ones green and thick; a logarithmic scale.
const scale = { low: 0, high: 0 };
const share_of = (norm) =>
  scale.high > scale.low ? (Math.log10(norm) - scale.low) / (scale.high - scale.low) : 1;
const colour_of = (share) => `hsl(${Math.round(275 - 135 * share)} 65% var(--tone))`;
const width_of = (share) => (1.6 + 2.4 * share).toFixed(2);

function set_scale() {
  const finite = [...(state.flow?.norm.values() ?? [])].filter((norm) => norm > 0 && norm < Infinity);
  const logs = finite.map(Math.log10);
  scale.low = logs.reduce((a, b) => Math.min(a, b), Infinity);
  scale.high = logs.reduce((a, b) => Math.max(a, b), -Infinity);
}

function edge_state(edge) {
  const { flow, path } = state;
  let on = false, carries = false, norm = -1;
  const meet = (value) => { carries = true; norm = Math.max(norm, flow.norm.get(value) ?? -1); };
  for (const i of edge.inputs) {
    on ||= Boolean(path?.on_input[i]);
    if (path ? path.carries[i] : flow?.carries[i]) meet(inputs[i]);
  }
  for (const [call, value] of edge.values)
    if (flow?.call === call) {
      on = true;
      meet(value);
    }
  return { on, carries, norm };
}

// Put the chosen loss and parameter into the picture.
function paint() {
  if (!picture()) return;
  picture().classList.toggle("chosen", Boolean(state.path));
  state.edges.forEach((edge, number) => {
    const element = find(`e${number}`);
    const { on, carries, norm } = edge_state(edge);
    element.classList.toggle("on", on);
    element.classList.toggle("zero", carries && norm === 0);
    element.classList.toggle("carries", carries && norm !== 0);
    element.classList.toggle("broken", carries && is_broken(norm));
    element.dataset.norm = norm < 0 ? "" : norm;
    if (norm > 0 && norm < Infinity) {
      element.style.setProperty("--size", colour_of(share_of(norm)));
      element.style.setProperty("--width", width_of(share_of(norm)));
    } else {
      element.style.removeProperty("--size");
      element.style.removeProperty("--width");
    }
  });
  const on = new Set(), gates = new Set();
  state.path?.on_node.forEach((is_on, node) => { if (is_on) on.add(shown_node(node)); });
  for (const event of state.path?.cuts ?? []) gates.add(`n${events.node[event]}`);
  const born = new Set();
  if (state.path) for (const node of births(state.path.source)) born.add(shown_node(node));
  for (const element of picture().querySelectorAll("g.node, g.cluster")) {
    element.classList.toggle("on", on.has(element.id));
    element.classList.toggle("gate", gates.has(element.id));
    element.classList.toggle("blamed", element.id.startsWith("n") && (data.judged
      ? blamed.has(Number(element.id.slice(1))) : gates.has(element.id)));
    element.classList.toggle("born", born.has(element.id));
    element.classList.toggle("selected", element.id === state.selected);
    element.setAttribute("aria-pressed", String(element.id === state.selected));
  }
}

// ---------------------------------------------------------------- 5. panel

function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  Object.assign(element, attributes);
  element.append(...content);
  return element;
}
function figure(norm) {
  if (norm === null || norm === undefined) return "not measured";
  const size = Math.abs(norm);
  return size && (size < 0.01 || size >= 1e5) ? Number(norm).toExponential(1) : String(Number(Number(norm).toPrecision(3)));
}

// Losses: gradient calls at one place, of any number of steps.
const losses = new Map();
gradients.forEach((gradient, call) => {
  if (!losses.has(gradient.node)) losses.set(gradient.node, []);
  losses.get(gradient.node).push(call);
});

const VERDICTS = {
  cut: ["Cut", "No gradient of LOSS reaches NAME"],
  zero: ["Exactly zero", "Gradient of LOSS reaches NAME, but it is exactly zero"],
  unused: ["Never used", "LOSS was computed without NAME"],
  "not finite": ["Not finite", "The gradient of LOSS by NAME is not finite"],
  connected: ["Gets gradient", "Gradient of LOSS reaches NAME"],
};

function fill_losses() {
  for (const [node, calls] of losses) {
    const steps = calls.length > 1 ? ` \u00d7 ${calls.length}` : "";
    find("loss").append(make("option", { value: node }, `${name(node)}${steps} \u2014 ${where(nodes.place[node])}`));
  }
  if (!losses.size) find("loss").append(make("option", { value: "" }, "no gradient was asked for"));
  find("loss").disabled = !losses.size;
}

function fill_parameters() {
  const select = find("parameter");
  const asked = new Set(state.flow?.gradient.sources);
  select.replaceChildren(make("option", { value: "" }, `all that were asked for (${asked.size})`));
  for (const [verdict, [label]] of Object.entries(VERDICTS)) {
    const found = sources.name.map((_, source) => source)
      .filter((source) => state.flow?.verdicts[source] === verdict);
    if (!found.length) continue;
    const options = found.map((source) => make("option", { value: source },
      text(sources.name[source]) + (asked.has(source) ? "" : " (not asked for)")));
    select.append(make("optgroup", { label: `${label} (${found.length})` }, ...options));
  }
  select.value = state.path ? state.path.source : "";
}

function choose_loss(call) {
  state.flow = call === undefined ? null : flow_of(call);
  state.path = null;
  if (state.flow) {
    const calls = losses.get(state.flow.gradient.node);
    find("loss").value = state.flow.gradient.node;
    find("step-label").hidden = calls.length < 2;
    find("step").max = calls.length - 1;
    find("step").value = calls.indexOf(call);
  }
  set_scale();
  fill_parameters();
  fill_legend();
  tell();
  paint();
}

// Choose a parameter; groups that hide it, a cut or the place where gradient becomes zero open.
function choose_parameter(source) {
  const was_only = state.only;
  state.path = source === null || !state.flow ? null : path_of(state.flow, source);
  state.only = state.path ? state.wished ?? state.only : false;
  find("parameter").value = state.path ? source : "";
  tell();
  tell_what_shows();
  if (!state.path) {
    if (was_only) draw_anew();
    return paint();
  }
  const wanted = wanted_of_path();
  if (state.only) show_only(true);
  else reveal([...wanted.slice(0, 20), sources.node[source]], wanted[0] ?? sources.node[source]);
}

// What is to be seen of a path in any case: the cuts, or where gradient becomes zero.
function wanted_of_path() {
  const { cuts, zero_at } = state.path;
  const found = [...new Set([...cuts, zero_at].filter((event) => event >= 0).map((event) => events.node[event]))];
  return [...found.filter((node) => blamed.has(node)), ...found.filter((node) => !blamed.has(node))];
}

// Show the path of the chosen parameter alone, or everything again.
function show_only(wanted) {
  state.only = wanted && Boolean(state.path);
  if (!state.only) return draw_anew();
  const nodes_wanted = [...wanted_of_path().slice(0, 20), sources.node[state.path.source]];
  state.open = new Set([0]);
  for (const node of nodes_wanted) open_groups(chain_of(nodes.group[node]));
  open_more(Math.floor(find("canvas").clientHeight / HIGH)); // they lie one below the other
  draw(`n${nodes_wanted[0]}`);
}

function draw_anew() {
  open_at_first();
  draw();
}

const hidden_aside = nodes.leads.filter((leads) => !leads).length;

function tell_what_shows() {
  find("only-label").hidden = !state.path;
  find("only").checked = state.only;
  find("aside-label").hidden = !hidden_aside;
  find("aside").checked = state.aside;
  find("aside-words").textContent = `Show what leads to no loss (${hidden_aside})`;
}

function reveal(wanted, focus) {
  const hides = wanted.some((node) => !visible(node));
  if (hides) {
    state.aside ||= wanted.some((node) => !nodes.leads[node]);
    if (wanted.some((node) => !visible(node))) state.only = false;
  }
  const hidden = wanted.filter((node) => shown_node(node) !== `n${node}`);
  paint();
  if (hidden.length || hides || !find(`n${focus}`)) {
    for (const node of hidden) open_groups(chain_of(nodes.group[node]));
    open_groups(chain_of(nodes.group[focus]));
    draw(`n${focus}`);
  } else {
    look_at(`n${focus}`);
  }
}

function look_at(id) {
  const element = find(id);
  const frame = find("canvas").getBoundingClientRect();
  if (!element) return;
  const box = element.getBoundingClientRect();
  const inside = box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
  if (!inside) centre([element]);
}

function tell() {
  const { flow, path } = state;
  const verdict = find("verdict");
  find("cuts").replaceChildren();
  if (!flow) {
    verdict.className = "";
    verdict.textContent = "No gradient was asked for in this trace.";
    return;
  }
  const loss = name(flow.gradient.node);
  if (!path) {
    const reached = flow.gradient.sources.filter((source) => flow.verdicts[source] === "connected");
    const all = flow.gradient.sources.length;
    const broken = flow.gradient.sources.filter((source) => flow.verdicts[source] === "not finite").length;
    const named = new Set(findings.map((finding) => finding.parameter));
    const missed = flow.gradient.sources.filter((source) => flow.verdicts[source] !== "connected")
      .filter((source) => !data.judged || named.has(text(sources.name[source])));
    verdict.className = reached.length === all ? "connected" : missed.length ? "cut" : "";
    const rest = reached.length < all && !missed.length ? " There is no finding on the others." : "";
    verdict.textContent = `Gradient of ${loss} reaches ${reached.length + broken} of the ${count_of(all, "parameter")} asked for${broken ? `; ${broken} of them not finite` : ""}.${rest}`;
    return;
  }
  const found = flow.verdicts[path.source];
  const words = [VERDICTS[found][1].replace(/LOSS|NAME/g, (key) =>
    key === "LOSS" ? loss : text(sources.name[path.source]))];
  const norm = flow.norm_of_source.get(path.source);
  if (found === "connected" && norm !== null && norm !== undefined) words.push(` (norm ${figure(norm)})`);
  if (found === "not finite") {
    words.push(` (norm ${figure(norm)})`);
    const [node] = births(path.source);
    if (node !== undefined) words.push(`: the first such value is from ${stands(node)}`);
  }
  if (found === "zero" && path.zero_at >= 0) {
    words.push(`: it becomes zero at ${describe(path.zero_at)}`);
    const share = flow.gradient.alive.find(([event]) => event === path.zero_at);
    if (share) words.push(`, where ${share[2]} of ${count_of(share[3], "element")} let gradient through`);
  }
  const stops = new Map(path.cuts.map((event) => [events.node[event], event]));
  if (found === "cut" && stops.size) words.push(`: it is cut at ${describe([...stops.values()][0])}`);
  if (found === "connected" && stops.size) words.push("; other paths are cut:");
  else words.push(".");
  if (!flow.norm_of_source.has(path.source)) words.push(" This call did not ask for it.");
  verdict.className = found.replace(" ", "-");
  verdict.textContent = words.join("");
  for (const node of [...stops.keys()].slice(0, PANEL_ROWS)) find("cuts").append(make("li", {}, jump_to_cut(node)));
}

const stands = (node) => [name(node), where(nodes.place[node])].filter(Boolean).join(", ");
const describe = (event) => stands(events.node[event]);

function jump_to_cut(node) {
  const place = nodes.place[node];
  const button = make("button", { className: "jump", onclick: () => select(`n${node}`) },
    make("b", {}, kind(node) || name(node)), ` ${where(place)}`, make("code", {}, source_text(place)));
  button.dataset.node = node;
  button.title = full_where(place);
  return button;
}

function select(id) {
  state.selected = id;
  show_details();
  if (id?.startsWith("n")) reveal([Number(id.slice(1))], Number(id.slice(1)));
  else paint();
}

function toggle(group) {
  if (!group) return;
  if (state.open.has(group)) close_group(group);
  else open_groups(chain_of(group));
  state.selected = `g${group}`;
  show_details();
  draw(`g${group}`);
}

function show_details() {
  const id = state.selected;
  find("details-section").hidden = !id;
  if (!id) return;
  const number = Number(id.slice(1));
  find("details").replaceChildren(...(id.startsWith("g") ? group_details(number) : node_details(number)));
  find("details-title").textContent = id.startsWith("g")
    ? `Group ${text(groups.label[number])}` : `${what(number)} ${name(number)}`;
}

const group_details = (group) => [
  make("p", {}, group_summary(group)),
  make("div", { className: "row" }, make("button", { onclick: () => toggle(group) },
    state.open.has(group) ? "Fold" : "Unfold")),
];

function node_details(node) {
  const place = nodes.place[node];
  const rows = [];
  if (kind(node)) rows.push(make("p", {}, `Gradient stops here: ${kind(node)}.`));
  if (place >= 0) {
    const inside = text(places.function[place]);
    rows.push(make("p", {}, full_where(place), inside ? ` in ${inside}` : ""), make("code", {}, source_text(place)));
  }
  const scope = chain_of(nodes.group[node]).slice(1).map((group) => text(groups.label[group])).join(" \u203a ");
  if (scope) rows.push(make("p", {}, make("small", {}, scope)));
  const buttons = make("div", { className: "row" });
  const source = source_of_node.get(node);
  if (source !== undefined) {
    const facts = [text(sources.shape[source]), text(sources.owner[source]) && `of ${text(sources.owner[source])}`,
      sources.trainable[source] ? "" : "not trainable", sources.updated[source] ? "updated" : "not updated"];
    rows.push(make("p", {}, facts.filter(Boolean).join(", ")));
    buttons.append(make("button", { onclick: () => choose_parameter(source) }, "Show its path"));
  }
  if (losses.has(node))
    buttons.append(make("button", { onclick: () => choose_loss(losses.get(node)[0]) }, "Choose this loss"));
  if (nodes.group[node])
    buttons.append(make("button", { onclick: () => toggle(nodes.group[node]) }, "Fold the group around it"));
  rows.push(buttons);
  if (members[node].length) rows.push(...executions(node));
  return rows;
}

// Single executions of a node: shape, label and size of the gradient that came back.
function executions(node) {
  const some = members[node].slice(0, PANEL_ROWS);
  const left = members[node].length - some.length;
  const head = make("tr", {}, ...["run", "result", "gradient", ""].map((word) => make("th", {}, word)));
  const body = some.map((event, run) => {
    const norm = outputs.length && state.flow?.norm.get(outputs[output_from[event]]);
    return make("tr", {}, ...[String(run + 1), text(events.shape[event]),
      norm === undefined || norm === false ? "" : figure(norm), text(events.label[event])].map((cell) => make("td", {}, cell)));
  });
  const rows = [make("p", {}, count_of(members[node].length, "execution")), make("table", {}, head, ...body)];
  if (left > 0) rows.push(make("p", {}, make("small", {}, `and ${left.toLocaleString("en")} more`)));
  return rows;
}

// Findings that differ only in the parameter share one entry.
const entries = [];

function fill_findings() {
  find("findings-section").hidden = !findings.length;
  const alike = new Map();
  for (const finding of findings) {
    const { kind: of, file, line, cure, when, term, called_from } = finding;
    const key = JSON.stringify([of, file, line, cure, when, term, called_from]);
    if (!alike.has(key)) alike.set(key, entries.push([]) - 1);
    entries[alike.get(key)].push(finding);
  }
  const at = ({ file, line }) => (file ? `${short_file(file)}:${line}` : "");
  entries.forEach(([finding, ...others], number) => {
    const more = others.length ? ` and ${others.length} more` : "";
    const when = finding.when ? `, ${finding.when}` : "";
    const beside = [
      ...(finding.called_from ?? []).map((place) => `called from ${place.function ? `${place.function}, ` : ""}${at(place)}`),
      ...(finding.term ? [`in the term at ${at(finding.term)}: ${finding.term.text ?? ""}`] : []),
    ];
    const button = make("button", { className: "jump", onclick: () => choose_entry(number) },
      make("b", {}, finding.kind ?? finding.verdict ?? ""), ` ${finding.parameter ?? ""}${more}`,
      ...(finding.says ? [make("span", { className: "says" }, finding.says + when)] : [when, make("br")]),
      make("small", {}, at(finding)), make("code", {}, finding.text ?? ""),
      ...beside.map((words) => make("small", { className: "says" }, words)));
    button.title = [finding.file ? `${finding.file}:${finding.line}` : "",
      ...[finding, ...others].slice(0, PANEL_ROWS).map((each) => each.parameter)].join("\n");
    find("findings").append(make("li", {}, button, make("p", { className: "cure" }, finding.cure ?? "")));
  });
}

// Go to a finding: its loss, its parameter, its line.
function choose_entry(number) {
  if (!entries.length) return;
  state.finding = (number + entries.length) % entries.length;
  const [finding] = entries[state.finding];
  choose_finding(finding);
  const node = node_of(finding);
  if (node !== undefined) select(`n${node}`);
  mark_entry();
}

function mark_entry() {
  [...find("findings").querySelectorAll(".jump")].forEach((button, number) => {
    if (number === state.finding) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
    if (number === state.finding) button.scrollIntoView({ block: "nearest" });
  });
}

const ends_with = (path, end) => path === end || path.endsWith(`/${end}`) || end.endsWith(`/${path}`);

const nodes_at = (finding) => nodes.name.map((_, node) => node).filter((node) => {
  const place = nodes.place[node];
  return place >= 0 && places.line[place] === finding.line && ends_with(text(places.file[place]), finding.file ?? "");
});

// The cut of a finding: at its line, of its kind if there are several, on the way to a loss.
function node_of(finding) {
  const there = nodes_at(finding).sort((a, b) => nodes.leads[b] - nodes.leads[a]);
  return there.find((node) => kind(node) === finding.kind && (!state.path || state.path.on_node[node]))
    ?? there.find((node) => kind(node) === finding.kind)
    ?? there.find((node) => name(node) === finding.label) ?? there[0];
}

// Where values that are not finite were born, of those in the gradient by a source.
const births = (source) => findings
  .filter((finding) => finding.verdict === "not finite" && finding.parameter === text(sources.name[source]))
  .map(node_of).filter((node) => node !== undefined);

function choose_finding(finding) {
  const source = sources.name.findIndex((number) => text(number) === finding.parameter);
  const node = node_of(finding);
  const here = losses.get(node)?.[0];
  if (source < 0) {
    if (here !== undefined) choose_loss(here);
    return choose_parameter(null);
  }
  const asking = gradients.map((_, call) => call).filter((call) => gradients[call].sources.includes(source));
  const call = asking.slice(0, PANEL_ROWS).find((each) => flow_of(each).verdicts[source] === finding.verdict)
    ?? asking[0] ?? here ?? state.flow?.call;
  if (call === undefined) return;
  choose_loss(call);
  choose_parameter(source);
}

function fill_legend() {
  const sample = (inside) => {
    const holder = make("span");
    holder.innerHTML = `<svg width="52" height="18" aria-hidden="true">${inside}</svg>`; // no user text
    return holder;
  };
  const line = (style) => sample(`<line x1="2" y1="9" x2="50" y2="9" style="${style}"/>`);
  const row = (picture, words) => make("div", {}, picture, words);
  const known = scale.high > -Infinity;
  const steps = Array.from({ length: 12 }, (_, i) =>
    `<rect x="${2 + 4 * i}" y="4" width="4.2" height="10" style="fill:${colour_of(i / 11)}"/>`).join("");
  const octagon = (fill) => sample(`<path d="M14 2h24l8 5v5l-8 5h-24l-8-5v-5z" style="fill:${fill};stroke:var(--cut);stroke-width:2"/>`);
  const cuts = nodes.name.map((_, node) => node).filter((node) => what(node) === "cut");
  const norms = [...(state.flow?.norm.values() ?? [])];
  const from = figure(10 ** scale.low), to = figure(10 ** scale.high);
  const rows = [
    blamed.size && row(octagon("var(--cut)"), "gate of a finding: gradient stops here"),
    loud.size > blamed.size && row(octagon("var(--cut-fill)"), "gate on the way of a parameter that gets no gradient"),
    cuts.some(is_quiet) && row(sample('<rect x="6" y="2" width="40" height="14" rx="5" style="fill:var(--node);stroke:var(--muted);stroke-dasharray:3 3"/>'), "harmless gate: no parameter misses its gradient"),
    row(line("stroke:var(--value);stroke-width:1.4"), "value only: no gradient comes back"),
    known
      ? row(sample(steps), `gradient comes back, norm ${from === to ? from : `${from} to ${to} (log)`}`)
      : row(line("stroke:var(--accent);stroke-width:2.6"), "gradient comes back (size not measured)"),
    norms.includes(0) && row(line("stroke:var(--zero);stroke-width:2.4;stroke-dasharray:2 4"), "gradient comes back, exactly zero"),
    ...(norms.some(is_broken)
      ? [row(line("stroke:var(--cut);stroke-width:2.4;stroke-dasharray:4 2"), "gradient comes back, NaN or infinite"),
        row(sample('<rect x="6" y="2" width="40" height="14" rx="5" style="fill:var(--cut-fill);stroke:var(--cut);stroke-width:2.2"/>'), "where it was born")]
      : []),
    row(sample('<rect x="6" y="2" width="40" height="14" style="fill:var(--parameter);stroke:var(--accent)"/>'), "parameter"),
    row(sample('<ellipse cx="26" cy="9" rx="22" ry="7" style="fill:var(--target);stroke:var(--zero);stroke-width:2"/>'), "gradient call"),
    groups.label.length > 1 && row(sample('<path d="M6 5h14l3-3h12v3h11v12h-40z" style="fill:var(--group);stroke:var(--ink)"/>'), "folded group: click to open"),
  ];
  find("legend").replaceChildren(...rows.filter(Boolean));
}

// ---------------------------------------------------------------- search

const haystack = nodes.name.map((_, node) => [name(node), kind(node), full_where(nodes.place[node]),
  source_text(nodes.place[node])].join(" ").toLowerCase());
const group_names = groups.label.map((label) => text(label).toLowerCase());

function search(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const matches = (hay) => words.every((word) => hay.includes(word));
  const rank = (node) => (words.some((word) => name(node).toLowerCase().includes(word)) ? 0 : 1);
  const found = nodes.name.map((_, node) => node).filter((node) => matches(haystack[node]))
    .sort((a, b) => rank(a) - rank(b)).map((node) => `n${node}`);
  const found_groups = groups.label.map((_, group) => group)
    .filter((group) => group && matches(group_names[group])).map((group) => `g${group}`);
  return [...found_groups.slice(0, 10), ...found].slice(0, PANEL_ROWS);
}

function show_results() {
  const found = search(find("search").value);
  find("results").replaceChildren(...found.map((id, i) => {
    const number = Number(id.slice(1));
    const item = id.startsWith("g")
      ? make("li", {}, `group ${text(groups.label[number])} `)
      : make("li", {}, `${name(number)} `, make("small", {},
        [kind(number) || what(number), where(nodes.place[number]), source_text(nodes.place[number])].filter(Boolean).join("  ")));
    item.id = `result-${i}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(i === 0));
    item.onmousedown = (event) => { event.preventDefault(); take_result(id); };
    item.dataset.target = id;
    return item;
  }));
  if (!found.length && find("search").value.trim()) find("results").append(make("li", {}, "nothing found"));
  const open = Boolean(find("search").value.trim());
  find("results").hidden = !open;
  find("search").setAttribute("aria-expanded", String(open));
  find("search").setAttribute("aria-activedescendant", found.length ? "result-0" : "");
}

function take_result(id) {
  if (!id) return;
  find("results").hidden = true;
  find("search").setAttribute("aria-expanded", "false");
  find("search").blur();
  const number = Number(id.slice(1));
  if (id.startsWith("n")) return select(id);
  state.selected = id;
  open_groups(chain_of(groups.parent[number]));
  show_details();
  draw(id);
}

function move_result(step) {
  const items = [...find("results").querySelectorAll("[data-target]")];
  if (!items.length) return;
  const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const next = (at + step + items.length) % items.length;
  items.forEach((item, i) => item.setAttribute("aria-selected", String(i === next)));
  items[next].scrollIntoView({ block: "nearest" });
  find("search").setAttribute("aria-activedescendant", items[next].id);
}

// ---------------------------------------------------------------- keys and buttons

const all_cuts = () => (state.path?.cuts.length
  ? [...new Set(state.path.cuts.map((event) => events.node[event]))]
  : loud.size ? [...loud] : nodes.name.map((_, node) => node).filter((node) => what(node) === "cut" && visible(node)));

function step_cut(step) {
  const cuts = all_cuts();
  if (!cuts.length) return;
  const at = cuts.indexOf(Number(state.selected?.slice(1)));
  select(`n${cuts[at < 0 ? (step > 0 ? 0 : cuts.length - 1) : (at + step + cuts.length) % cuts.length]}`);
}

function fold_selected() {
  if (!state.selected) return;
  const number = Number(state.selected.slice(1));
  toggle(state.selected.startsWith("g") ? number : nodes.group[number]);
}

function activate(element, on_title) {
  const number = Number(element.id.slice(1));
  if (element.id.startsWith("n")) return select(element.id);
  if (!state.open.has(number) || on_title) toggle(number);
  else select(element.id);
}

function clear() {
  find("search").value = "";
  state.finding = -1;
  mark_entry();
  show_results();
  select(null);
  choose_parameter(null);
}

const KEYS = {
  "/": () => find("search").focus(),
  "?": () => find("help").showModal(),
  j: () => step_cut(1), ArrowDown: () => step_cut(1),
  k: () => step_cut(-1), ArrowUp: () => step_cut(-1),
  n: () => choose_entry(state.finding + 1), p: () => choose_entry(Math.max(state.finding, 0) - 1),
  f: fold_selected,
  o: () => { if (state.path) wish_only(!state.only); },
  "+": () => state.panzoom?.zoomIn(), "=": () => state.panzoom?.zoomIn(),
  "-": () => state.panzoom?.zoomOut(),
  0: fit,
  Escape: clear,
};

function wish_only(wanted) {
  state.wished = wanted;
  show_only(wanted);
}

function fit() {
  state.panzoom?.resize().fit().center();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
  const in_field = event.target.matches("input:not([type=checkbox]), select");
  const picture_part = event.target.closest("#canvas g[role=button]");
  if (picture_part && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    return activate(picture_part, true);
  }
  if (event.key === "Escape" && in_field) event.target.blur();
  else if (in_field) return;
  if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

find("search").addEventListener("input", show_results);
find("search").addEventListener("focus", show_results);
find("search").addEventListener("blur", () => { find("results").hidden = true; });
find("search").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    move_result(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter") {
    take_result(find("results").querySelector('[aria-selected="true"]')?.dataset.target);
  }
});

// A press that moves is a drag, which svg-pan-zoom handles; one that stays is a click.
let pressed = null;
find("canvas").addEventListener("pointerdown", (event) => { pressed = [event.clientX, event.clientY]; });
find("canvas").addEventListener("click", (event) => {
  if (pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) > 4) return;
  const element = event.target.closest("g.node, g.cluster");
  if (element) activate(element, Boolean(event.target.closest("text")));
});

find("loss").onchange = () => choose_loss(losses.get(Number(find("loss").value))[0]);
find("step").onchange = () => {
  const calls = losses.get(Number(find("loss").value));
  const step = Math.min(Math.max(Math.trunc(Number(find("step").value)) || 0, 0), calls.length - 1);
  const source = state.path?.source ?? null;
  choose_loss(calls[step]);
  choose_parameter(source);
};
find("parameter").onchange = () =>
  choose_parameter(find("parameter").value === "" ? null : Number(find("parameter").value));
find("zoom-in").onclick = KEYS["+"];
find("zoom-out").onclick = KEYS["-"];
find("zoom-fit").onclick = fit;
find("help-open").onclick = KEYS["?"];
find("fold-all").onclick = () => { state.open = new Set([0]); draw(); };
find("unfold-all").onclick = () => { open_more(MOST_SHOWN); draw(); };
find("only").onchange = () => wish_only(find("only").checked);
find("aside").onchange = () => { state.aside = find("aside").checked; open_more(SHOWN_AT_FIRST); draw(); };

const prefers_dark = matchMedia("(prefers-color-scheme: dark)");
const is_dark = () => (document.documentElement.dataset.theme ?? (prefers_dark.matches ? "dark" : "light")) === "dark";
const name_theme = () => { find("theme").textContent = is_dark() ? "Light" : "Dark"; };
prefers_dark.addEventListener("change", name_theme);
find("theme").onclick = () => {
  document.documentElement.dataset.theme = is_dark() ? "light" : "dark";
  name_theme();
};
addEventListener("resize", () => state.panzoom?.resize());
addEventListener("beforeprint", fit);

fill_losses();
fill_findings();
name_theme();
judge();
open_at_first();
choose_loss(gradients.length ? gradients.length - 1 : undefined);
layout.ready = start_layout();
if (entries.length) {
  state.finding = 0;
  choose_finding(findings[0]);
  mark_entry();
}
if (!layout.number) draw(state.path ? `n${wanted_of_path()[0] ?? sources.node[state.path.source]}` : undefined);
