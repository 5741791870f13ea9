// Rule 1: on a narrow screen one part of the console is shown at a time, chosen by the tabs; a wide
//         screen shows all (console.css).
// Rule 2: links within the page show their part; they leave the URL alone, which names the call.

import { at } from "./dom.js";

/** Shows the part with this id. */
export function showPart(id) {
  for (const part of at("main").children) part.classList.toggle("shown", part.id === id);
  for (const tab of at("tabs").children) {
    if (tab.hash === `#${id}`) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}

/** Lets links within the page show their part, and those outside of the tabs also focus it. */
export function followLinks() {
  for (const link of document.querySelectorAll('a[href^="#"]'))
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const part = at(link.hash.slice(1));
      showPart(part.id);
      if (link.parentElement === at("tabs")) scrollTo(0, 0);
      else part.focus();
    });
}
