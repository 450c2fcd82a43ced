// A number as a bar, with its name before it.

import { element } from "./dom.js";

// `part` of the whole length, 0 to 1; below 0 it is as long, and looks otherwise by its `kind`.
export function bar(name, part, number, kind) {
  const length = element("span", { class: "length" });
  length.style.width = `${100 * Math.min(1, Math.abs(part))}%`; // by script: the policy forbids style=""
  return element(
    "li",
    { class: kind || null },
    element("span", { class: "name" }, name),
    element("span", { class: "bar", "aria-hidden": "true" }, length),
    element("span", { class: "number" }, number),
  );
}
