// Category chips, the price range, and how hits are found and shown: shows a state, reports changes.

import { byId, element } from "./dom.js";
import { byWords } from "./state.js";
import { count, money } from "./words.js";

const categories = byId("categories");
const mode = byId("mode");
const switches = { varied: byId("varied"), compare: byId("compare") };
const ends = { min: byId("min"), max: byId("max") };

// `change` gets what is different: {categories}, {min}, {max}, {mode}, {varied} or {compare}.
export function watchFilters(change) {
  categories.addEventListener("click", ({ target }) => {
    const chip = target.closest("button");
    if (!chip) return;
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    const pressed = categories.querySelectorAll("[aria-pressed=true]");
    change({ categories: [...pressed].map((one) => one.value).sort() });
  });
  for (const [end, input] of Object.entries(ends)) {
    input.addEventListener("change", () => {
      if (input.reportValidity()) change({ [end]: input.value === "" ? null : input.valueAsNumber });
    });
  }
  mode.addEventListener("change", () => change({ mode: mode.value }));
  for (const [name, input] of Object.entries(switches)) {
    input.addEventListener("change", () => change({ [name]: input.checked }));
  }
}

export function showFilters(state, catalogue) {
  showCategories(state.categories, catalogue.categories);
  const range = catalogue.price ?? {};
  for (const [end, input] of Object.entries(ends)) {
    // The person may be typing the next price while an answer comes in.
    if (input !== document.activeElement) input.value = state[end] ?? "";
    input.placeholder = range[end] == null ? "" : money(range[end]);
  }
  mode.value = state.mode;
  mode.disabled = !byWords(state); // there are no words to look for
  for (const [name, input] of Object.entries(switches)) input.checked = state[name];
  byId("filters").hidden = false;
}

// Chips are kept while the categories are the same, so that the focus stays where it is.
function showCategories(chosen, known) {
  const counts = new Map(known.map(({ name, count }) => [name, count]));
  for (const name of chosen) counts.set(name, counts.get(name) ?? 0); // gone, but can be let go
  const shown = [...categories.children].map((chip) => chip.dataset.shown);
  const wanted = [...counts].map(([name, number]) => `${name} ${number}`);
  if (shown.join("\n") !== wanted.join("\n")) {
    categories.replaceChildren(...[...counts].map(([name, number]) => chip(name, number)));
  }
  for (const one of categories.children) one.ariaPressed = String(chosen.includes(one.value));
}

function chip(name, number) {
  const label = `${name}, ${count(number, "product")}`;
  const attributes = { type: "button", value: name, class: "chip", "aria-label": label };
  attributes["data-shown"] = `${name} ${number}`;
  return element("button", attributes, name, element("span", { class: "count" }, `${number}`));
}
