// The pictures: one column, or the base model beside the champion; and what is said instead of them.

import { card, markOwn } from "./card.js";
import { byId, element, fill, own } from "./dom.js";
import { isFiltered } from "./state.js";
import { count, duration, money } from "./words.js";

const columns = byId("columns");
const problem = byId("problem");
const results = byId("results");
const status = byId("status");
const warnings = byId("warnings");

const MODELS = {
  base: { name: "Base model", says: () => "reads the words literally" },
  champion: {
    name: "Kindred",
    says: (version) => `the champion, version ${version}: learned what they mean to someone`,
  },
};

// The last answer stays, dimmed: a page that empties and fills again makes one lose one's place.
export function showLoading() {
  results.setAttribute("aria-busy", "true");
  status.textContent = "Searching…";
}

// `can` makes what one can do with an answer's hits (card.js).
export function showAnswers(state, answers, can, clearFilters) {
  done();
  const empty = answers.every((answer) => answer.hits.length === 0);
  fill(problem, ...(empty ? nothingFound(state, clearFilters) : []));
  const words = answers[0].warnings.join(" ");
  fill(warnings, words ? element("p", {}, words) : null);
  showUsed(answers[0].concepts ?? []);
  columns.classList.toggle("both", answers.length > 1);
  columns.replaceChildren(...(empty ? [] : answers.map((answer) => column(answer, answers.length))));
  status.textContent = "Nothing found";
  if (!empty) showHits(answers, can);
}

// Adds the cards of hits that have none yet.
export function showHits(answers, can) {
  for (const [at, answer] of answers.entries()) {
    const list = columns.querySelectorAll(".grid")[at];
    const known = list.children.length;
    list.append(...answer.hits.slice(known).map((hit) => card(hit, can(answer))));
  }
  if (answers.length > 1) compare(answers);
  status.textContent = summary(answers);
}

export function showProblem(error, retry) {
  done();
  status.textContent = "";
  fill(warnings);
  showUsed([]);
  columns.replaceChildren();
  fill(
    problem,
    element("h2", {}, error.status === 0 ? "No answer" : "That did not work"),
    element("p", {}, error.message),
    element("button", { type: "button", class: "main", onclick: retry }, "Try again"),
  );
}

export function showInvitation() {
  done();
  status.textContent = "Type what you are looking for, and press Enter.";
  fill(warnings);
  fill(problem);
  showUsed([]);
  columns.replaceChildren();
}

function done() {
  results.removeAttribute("aria-busy");
}

function showUsed(names) {
  const chips = names.map((name) => element("li", {}, own(name)));
  fill(byId("used"), ...(names.length ? ["With yours:", element("ul", {}, ...chips)] : []));
}

function summary(answers) {
  const [{ hits, took_ms }] = answers;
  if (answers.length === 1) return `${count(hits.length, "product")}, ${duration(took_ms)}`;
  const times = answers.map(({ model, took_ms }) => `${MODELS[model].name} ${duration(took_ms)}`);
  return `${count(hits.length, "product")} each: ${times.join(", ")}`;
}

function nothingFound(state, clearFilters) {
  const { min, max } = state;
  const heading = element("h2", {}, "Nothing found");
  if (!isFiltered(state)) return [heading, element("p", {}, "The catalogue is empty.")];
  const advice =
    min != null && max != null && min > max
      ? `The lowest price, ${money(min)}, is above the highest, ${money(max)}. Swap or clear them.`
      : "No product has this category and price. Choose more categories, or widen the price.";
  const attributes = { type: "button", class: "main", onclick: clearFilters };
  const clear = element("button", attributes, "Clear the filters");
  return [heading, element("p", {}, advice), clear];
}

function column({ model, model_version }, number) {
  const list = element("ol", { class: "grid" });
  if (number === 1) return list;
  const { name, says } = MODELS[model];
  const heading = `heading-${model}`;
  const header = element(
    "header",
    {},
    element("h2", { id: heading }, name),
    element("p", {}, says(model_version)),
    element("p", { class: "own-count" }),
  );
  const attributes = { class: `column ${model}`, "aria-labelledby": heading };
  return element("section", attributes, header, list);
}

function compare(answers) {
  const ids = answers.map(({ hits }) => new Set(hits.map((hit) => hit.product_id)));
  for (const [at, { model, hits }] of answers.entries()) {
    const section = columns.children[at];
    const lone = (made) => !ids[1 - at].has(made.dataset.product);
    const made = [...section.querySelectorAll(".card")];
    for (const one of made) markOwn(one, lone(one) ? MODELS[model].name : "");
    const words = `${made.filter(lone).length} of ${hits.length} found only here`;
    section.querySelector(".own-count").textContent = words;
  }
}
