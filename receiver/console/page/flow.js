// Rule 1: for each IVR what its inputs lead to: mask, handler, the destinations that are declared
//         and those that calls were seen to go to; a table that is drawn as a map.
// Rule 2: what is seen and not declared, what is declared and never seen, and what leads nowhere
//         are told apart in words too.

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
      one.kind === "CALLER" && h("span", { class: "tag" }, "caller"),
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

// Declared ones first, with how often calls went there; then those that nobody declared.
function destinations({ declared = [], observed = [] }) {
  const seen = new Map(observed.map(({ to, count }) => [to, count]));
  const plain = (text) => text.replace(/ \(.*\)$/, "");
  const known = declared.map((text) => {
    const count = seen.get(text) ?? seen.get(plain(text)) ?? 0;
    seen.delete(text);
    seen.delete(plain(text));
    return end(text, count, count ? "seen" : "unseen");
  });
  return [...known, ...[...seen].map(([to, count]) => end(to, count, "undeclared"))];
}

const NOTES = { seen: "", unseen: "not seen", undeclared: "not declared" };

const NOWHERE = "no mask and no menu entry takes them";

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
