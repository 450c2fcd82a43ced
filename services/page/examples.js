// What others asked, to start with.

import { byId, element, fill } from "./dom.js";

const examples = byId("examples");

export function showExamples(texts, ask) {
  const button = (text) => element("button", { type: "button", onclick: () => ask(text) }, text);
  fill(examples, ...texts.map(button));
}

export function markExample(query) {
  for (const button of examples.children) {
    button.setAttribute("aria-pressed", button.textContent === query);
  }
}
