// Rule 1: only the rows in sight are in the document, however many calls there are.
// Rule 2: a row keeps its position when newer calls are added above.
// Rule 3: one tab stop; arrow keys move the selection, and the selected call is shown.

import { at, h, say, vary } from "./dom.js";
import { showPart } from "./parts.js";
import { callerName, CAUSES, clock, counted, health, ivrName, percent, standing } from "./words.js";

const ROW = 3.25; // rem, as in console.css
const MARGIN = 6; // rows kept ready above and below those in sight

export class List {
  constructor(store) {
    this.store = store;
    this.box = at("list");
    this.filter = at("filter");
    this.problems = at("problems");
    this.space = h("div", { class: "space", role: "presentation" });
    this.box.append(this.space);
    this.rows = [];
    this.top = null; // the entry at the top, when the user has scrolled down
    store.on(["state", "calls"], () => this.render());
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("click", (event) => this.click(event));
    this.filter.addEventListener("input", () => this.refilter());
    this.filter.addEventListener("keydown", (event) => this.filterKey(event));
    this.problems.addEventListener("change", () => this.refilter());
    new ResizeObserver(() => this.render()).observe(this.box);
  }

  get row() {
    return ROW * parseFloat(getComputedStyle(document.documentElement).fontSize);
  }

  refilter() {
    this.top = null;
    this.box.scrollTop = 0;
    this.render();
  }

  scrolled() {
    const index = Math.floor(this.box.scrollTop / this.row);
    this.top = index > 0 ? (this.shown[index] ?? null) : null;
    this.draw();
  }

  render() {
    if (!this.store.state) return;
    const row = this.row;
    this.shown = this.store.calls.matching(this.filter.value, this.problems.checked);
    this.space.style.height = `${this.shown.length * row}px`;
    const moved = this.top ? this.shown.indexOf(this.top) : -1;
    if (moved > 0) this.box.scrollTop = moved * row + (this.box.scrollTop % row);
    this.draw();
  }

  draw() {
    const row = this.row;
    const first = Math.max(0, Math.floor(this.box.scrollTop / row) - MARGIN);
    const room = Math.ceil(this.box.clientHeight / row) + 2 * MARGIN;
    const sight = this.shown.slice(first, first + room);
    while (this.rows.length < sight.length) this.rows.push(this.space.appendChild(emptyRow()));
    while (this.rows.length > sight.length) this.rows.pop().remove();
    sight.forEach((entry, i) => this.fill(this.rows[i], entry.call, first + i));
    const active = this.rows.find((one) => one.ariaSelected === "true");
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
    this.tell();
    if (first + room >= this.shown.length) this.further();
  }

  tell() {
    const { calls } = this.store;
    const all = counted(calls.line.length, "call") + (calls.more ? " and older" : "");
    const some =
      this.shown === calls.line ? all : `${this.shown.length.toLocaleString("en")} of ${all}`;
    say(at("calls-count"), some);
  }

  // More is loaded at the end of the list, and while a filter leaves visible rows empty.
  async further() {
    if (!this.store.calls.more || this.store.calls.fetching) return;
    try {
      await this.store.calls.older();
    } catch {
      return; // the next scroll tries again, and `wire` shows that the server does not answer
    }
    this.store.touch("calls");
  }

  fill(element, call, index) {
    element.id = `call-${call.seq}`;
    element.call = call.id;
    element.ariaSelected = String(call.id === this.store.open);
    element.setAttribute("aria-posinset", index + 1);
    element.setAttribute("aria-setsize", this.shown.length);
    element.dataset.tone = tone(call);
    vary(element, "--index", index);
    const [who, when, , how, share] = element.children;
    say(who, callerName(call));
    say(when, clock(call.begun));
    const why = CAUSES[call.reason] ? ` (${CAUSES[call.reason]})` : "";
    say(how, `${call.pbx ? `${call.pbx}/${call.ivr}` : call.ivr}: ${standing(call)}${why}`);
    say(share, call.callbacks ? percent(call.worst) : "");
    share.dataset.health = health(call.worst);
  }

  click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    this.store.select(row.call);
    showPart("call");
  }

  filterKey(event) {
    if (event.key === "Escape" && this.filter.value) {
      this.filter.value = "";
      this.refilter();
    } else if (event.key === "ArrowDown") {
      this.box.focus();
      this.move(0);
    } else return;
    event.preventDefault();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.row) - 1);
    const here = this.shown.findIndex((entry) => entry.call.id === this.store.open);
    const target = {
      ArrowDown: here + 1,
      ArrowUp: here - 1,
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: this.shown.length - 1,
    }[event.key];
    if (event.key === "Enter") {
      showPart("call");
      at("call").focus();
    } else if (target !== undefined) this.move(target);
    else return;
    event.preventDefault();
  }

  move(index) {
    const to = Math.max(0, Math.min(index, this.shown.length - 1));
    if (!this.shown[to]) return;
    this.store.select(this.shown[to].call.id);
    const { box, row } = this;
    if (to * row < box.scrollTop) box.scrollTop = to * row;
    const under = (to + 1) * row - box.clientHeight;
    if (under > box.scrollTop) box.scrollTop = under;
    this.scrolled();
  }
}

function emptyRow() {
  const parts = ["who", "when", "mark", "how", "share"];
  return h(
    "div",
    { role: "option", class: "row" },
    parts.map((name) => h("span", { class: name, "aria-hidden": name === "mark" && "true" })),
  );
}

function tone(call) {
  if (!call.end) return "live";
  if (call.end.kind === "failed") return "bad";
  return (call.reason ?? "handled") === "handled" ? "ok" : "low";
}

/** The IVR of a call with its name, if it still exists. */
export const ivrOf = (store, call) =>
  ivrName(
    store.state.ivrs?.find((one) => one.number === call.ivr && one.pbx === call.pbx) ?? {
      number: call.ivr,
      pbx: call.pbx,
    },
  );
