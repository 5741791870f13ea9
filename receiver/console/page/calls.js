// Rule 1: the summaries of calls, newest first, each once; a change replaces the old summary.
// Rule 2: bounded: the oldest are removed here, the server may still have them.
// Rule 3: the text for the filter is prepared once for each summary, so that typing stays quick.

import { callerName, isWell, ivrName, standing } from "./words.js";
import { get } from "./wire.js";

const PAGE = 200;
const MAX_CALLS = 20000;

export class Calls {
  constructor() {
    this.load([]);
  }

  /** Replaces all calls by those of `state`. */
  load(newest) {
    this.byId = new Map();
    this.line = []; // entries, newest first
    this.complete = newest.length < PAGE;
    this.fetching = null;
    for (const call of newest) this.put(call);
  }

  /** Adds or replaces a summary. */
  put(call) {
    const entry = { call, well: isWell(call), text: searchable(call) };
    const known = this.byId.get(call.id);
    if (known) Object.assign(known, entry);
    else this.insert(entry);
  }

  // The newest comes first and is the usual one; a page of older calls goes to the end.
  insert(entry) {
    const oldest = this.line[this.line.length - 1];
    let low = oldest && entry.call.seq < oldest.call.seq ? this.line.length : 0;
    let high = this.line.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.line[middle].call.seq > entry.call.seq) low = middle + 1;
      else high = middle;
    }
    this.line.splice(low, 0, entry);
    this.byId.set(entry.call.id, entry);
    if (this.line.length <= MAX_CALLS) return;
    this.byId.delete(this.line.pop().call.id);
    this.complete = false;
  }

  get(id) {
    return this.byId.get(id)?.call ?? null;
  }

  /** Whether the server certainly has no such call. */
  lacks(id) {
    return this.complete && !this.byId.has(id);
  }

  /** The calls that have all words of ``text``; with ``problems`` only those with a problem. */
  matching(text, problems) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length && !problems) return this.line;
    return this.line.filter(
      (entry) => !(problems && entry.well) && words.every((word) => entry.text.includes(word)),
    );
  }

  /** Whether the server may have older calls, and the limit is not reached. */
  get more() {
    return !this.complete && this.line.length > 0 && this.line.length < MAX_CALLS;
  }

  /** Gets the next page of older calls; one request at a time. */
  older() {
    this.fetching ??= this.page().finally(() => (this.fetching = null));
    return this.fetching;
  }

  async page() {
    const line = this.line;
    const before = line.length;
    const { calls } = await get(`calls?before=${line[before - 1].call.seq}&limit=${PAGE}`);
    if (line !== this.line) return; // everything was reloaded in between
    for (const call of calls) if (!this.byId.has(call.id)) this.put(call);
    this.complete = line.length === before;
  }
}

const searchable = (call) =>
  [callerName(call), ivrName({ ...call, name: "" }), standing(call), call.reason]
    .join(" ")
    .toLowerCase();
