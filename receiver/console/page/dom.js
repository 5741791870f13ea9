// Rule 1: data becomes text nodes. The page parses no markup, so that a caller's name cannot inject
//         any.
// Rule 2: attributes that can run code or load a URL (href, src, on…) never contain data.

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with this id. */
export const at = (id) => document.getElementById(id);

/** An element: attributes by name (functions listen to that event; null and false leave it out),
 *  then children: elements, texts, nested lists; null and false are left out. */
export function h(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter(isThere));
  return element;
}

const isThere = (child) => child !== null && child !== undefined && child !== false;

/** Sets a text only if it differs, which avoids announcements and repaints. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A CSS variable of an element; the Content-Security-Policy forbids style attributes. */
export function vary(element, name, value) {
  element.style.setProperty(name, String(value));
  return element;
}

/** Puts ``fresh`` in the place of ``old``, keeping what the reader opened and where the focus is:
 *  elements are known again by their data-key. */
export function swap(old, fresh) {
  const focused = old.contains(document.activeElement) && keyOf(document.activeElement);
  const touched = new Map();
  for (const one of old.querySelectorAll("details[data-key]"))
    touched.set(one.dataset.key, one.open);
  for (const one of fresh.querySelectorAll("details[data-key]")) {
    if (touched.has(one.dataset.key)) one.open = touched.get(one.dataset.key);
  }
  old.replaceWith(fresh);
  if (!focused) return;
  for (const one of fresh.querySelectorAll("[data-key]")) {
    if (one.dataset.key === focused) (one.querySelector(":scope > summary") ?? one).focus();
  }
}

const keyOf = (element) => element.closest("[data-key]")?.dataset.key;

/** Announces a text to screen readers, after earlier announcements. */
export function announce(text) {
  const place = at("announcer");
  place.append(h("span", {}, text));
  while (place.childElementCount > 3) place.firstElementChild.remove();
}

/** Runs ``work`` before the next picture, and at once-a-second's grace where nothing is painted. */
export function soon(work) {
  if (document.hidden) setTimeout(work, 250);
  else requestAnimationFrame(work);
}
