// The pictures: one column, or the base model beside the champion; and what is said instead of them.

import { byId, element, fill, unseen } from "./dom.js";
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

export function showAnswers(state, answers, clearFilters) {
  done();
  const empty = answers.every((answer) => answer.hits.length === 0);
  fill(problem, ...(empty ? nothingFound(state, clearFilters) : []));
  status.textContent = empty ? "Nothing found" : summary(answers);
  const words = answers[0].warnings.join(" ");
  fill(warnings, words ? element("p", {}, words) : null);
  columns.classList.toggle("both", answers.length > 1);
  columns.replaceChildren(...(empty ? [] : answers.map((answer) => column(answer, answers))));
}

export function showProblem(error, retry) {
  done();
  status.textContent = "";
  fill(warnings);
  columns.replaceChildren();
  fill(
    problem,
    element("h2", {}, error.status === 0 ? "No answer" : "That did not work"),
    element("p", {}, error.message),
    element("button", { type: "button", onclick: retry }, "Try again"),
  );
}

export function showInvitation() {
  done();
  status.textContent = "Type what you are looking for, and press Enter.";
  fill(warnings);
  fill(problem);
  columns.replaceChildren();
}

function done() {
  results.removeAttribute("aria-busy");
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
  const clear = element("button", { type: "button", onclick: clearFilters }, "Clear the filters");
  return [heading, element("p", {}, advice), clear];
}

function column(answer, answers) {
  const { name, says } = MODELS[answer.model];
  const other = answers.find((one) => one !== answer);
  const others = other && new Set(other.hits.map((hit) => hit.product_id));
  const isOwn = (hit) => others && !others.has(hit.product_id);
  const cards = answer.hits.map((hit) => card(hit, isOwn(hit) && name));
  const list = element("ol", { class: "grid" }, ...cards);
  if (!other) return list;
  const heading = `heading-${answer.model}`;
  const own = answer.hits.filter(isOwn).length;
  return element(
    "section",
    { class: `column ${answer.model}`, "aria-labelledby": heading },
    element(
      "header",
      {},
      element("h2", { id: heading }, name),
      element("p", {}, says(answer.model_version)),
      element("p", { class: "own-count" }, `${own} of ${answer.hits.length} found only here`),
    ),
    list,
  );
}

// `onlyBy` names the model if no other one found this product.
function card(hit, onlyBy) {
  const picture = { src: hit.image_url, alt: hit.title, width: 256, height: 256, decoding: "async" };
  return element(
    "li",
    { class: onlyBy ? "card own" : "card" },
    element("img", picture),
    element("p", { class: "title", title: hit.title }, hit.title),
    element(
      "p",
      { class: "facts" },
      element("span", {}, hit.category),
      hit.price == null ? null : element("span", { class: "amount" }, money(hit.price)),
    ),
    onlyBy ? unseen(`Found only by ${onlyBy}`) : null,
  );
}
