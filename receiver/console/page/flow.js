// Rule 1: the call flow: for each IVR its inputs with mask, handler, declared destinations and the
//         destinations of real calls; a table with lines drawn between the columns.
// Rule 2: undeclared destinations, destinations without calls, and inputs without an action are
//         also marked by text.

import { at, h } from "./dom.js";
import { ivrName, spaced } from "./words.js";

export class Flow {
  constructor(store) {
    this.store = store;
    store.on(["state", "flow"], () => this.render());
  }

  render() {
    const flow = this.store.state?.flow;
    at("flow").hidden = !flow;
    if (!flow) return;
    const { ivrs = [] } = flow;
    at("flow-body").replaceChildren(
      ...(ivrs.length ? ivrs.map(map) : [h("p", { class: "empty" }, "No IVR is declared.")]),
    );
  }
}

function map(ivr) {
  const head = ["Input", "Handler", "Goes to"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "table",
    { class: "flow-map" },
    h("caption", {}, ivrName(ivr)),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, (ivr.inputs ?? []).map(input), nowhere(ivr)),
  );
}

function input(one) {
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: "node" },
      one.kind !== "DTMF" && h("span", { class: "tag" }, one.kind.toLowerCase()),
      h("span", { class: "mono" }, spaced(one.mask)),
    ),
    h(
      "td",
      { class: "node" },
      h("span", { class: "mono" }, one.handler),
      h("span", { class: "count" }, one.action),
    ),
    h("td", { class: "node" }, h("ul", { class: "ends" }, destinations(one))),
  );
}

// Declared destinations first, with the number of calls; then undeclared ones.
function destinations({ kind, declared = [], observed = [] }) {
  const seen = new Map(observed.map(({ to, count }) => [to, count]));
  const plain = (text) => text.replace(/ \(.*\)$/, "");
  const known = declared.map((text) => {
    const count = seen.get(text) ?? seen.get(plain(text)) ?? 0;
    seen.delete(text);
    seen.delete(plain(text));
    const counted = kind !== "ANNOUNCEMENT"; // after an announcement no callback is sent
    return end(worded(kind, text), count, count || !counted ? "seen" : "unseen");
  });
  const others = [...seen].map(([to, count]) => end(worded(kind, to), count, "undeclared"));
  return [...known, ...others];
}

// Repeat() before the prompt repeats nothing: the call continues to it.
const worded = (kind, text) =>
  kind === "CALLER" ? text.replace(/^repeat\b/, "the prompt") : text;

const NOTES = { seen: "", unseen: "not seen", undeclared: "not declared" };

const NOWHERE = "no mask and no menu entry matches";

const end = (text, count, kind) =>
  h(
    "li",
    { "data-kind": kind },
    h("span", { class: "mono" }, text),
    count > 0 && h("b", {}, ` ${count.toLocaleString("en")}×`),
    NOTES[kind] && h("span", { class: "note" }, ` ${NOTES[kind]}`),
  );

function nowhere({ nowhere: inputs = [], menu }) {
  if (!inputs.length) return null;
  const why = menu === null ? "no mask takes them; the IVR’s own menu is not known" : NOWHERE;
  return h(
    "tr",
    { class: "nowhere" },
    h("th", { scope: "row", class: "node" }, h("span", { class: "mono" }, inputs.join("  "))),
    h("td", { class: "node", colspan: 2 }, `lead nowhere: ${why}`),
  );
}
