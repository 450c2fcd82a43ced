// One product found: its picture, what it is, and what one can do with it.

import { element, icon, unseen } from "./dom.js";
import { feedbackButtons } from "./feedback.js";
import { money } from "./words.js";

// `can` says what there is to do: {like(hit), why(hit) or null, feedback: {query, shown()} or null}.
export function card(hit, can) {
  const picture = { src: hit.image_url, alt: hit.title, width: 256, height: 256, decoding: "async" };
  const made = element(
    "li",
    { class: "card" },
    element("div", { class: "picture" }, element("img", picture), actions(hit, can)),
    element("p", { class: "title", title: hit.title, dir: "auto" }, hit.title),
    element(
      "p",
      { class: "facts" },
      element("span", {}, hit.category),
      hit.price == null ? null : element("span", { class: "amount" }, money(hit.price)),
    ),
  );
  made.dataset.product = hit.product_id;
  return made;
}

// Marks a product that only one of two models found; `name` is that model's, or "".
export function markOwn(made, name) {
  made.classList.toggle("own", Boolean(name));
  made.querySelector(":scope > .unseen")?.remove();
  if (name) made.append(unseen(`Found only by ${name}`));
}

function actions(hit, { like, why, feedback }) {
  return element(
    "div",
    { class: "actions", role: "group", "aria-label": `For ${hit.title}` },
    action("like", "More like this", `More like ${hit.title}`, () => like(hit)),
    why && action("why", "Why?", `Why ${hit.title}?`, () => why(hit)),
    ...(feedback ? feedbackButtons(hit, feedback) : []),
  );
}

function action(name, words, forEars, onclick) {
  const attributes = { type: "button", class: "icon-button", title: words, onclick };
  return element("button", attributes, icon(name), unseen(forEars));
}
