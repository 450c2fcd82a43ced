// What answers here: the version, how good it is in plain words, and whether it passed its gates.

import { byId, element, fill } from "./dom.js";
import { count, day, percent } from "./words.js";

const SIGNS = { passed: "✓", failed: "✗", missing: "–" };
const GATES = { labels: "Teacher's labels", retrieval: "Retrieval" };

export function showAbout(model) {
  const { metrics, version } = model;
  fill(byId("headline"), element("strong", {}, `Version ${version}`), headline(metrics));
  fill(
    byId("about"),
    element("h2", { id: "about-title" }, `Version ${version} answers here`),
    element("p", { class: "lead" }, story(model)),
    element("dl", { class: "metrics" }, ...measures(metrics)),
    element("ul", { class: "verdicts", "aria-label": "Quality gates" }, ...verdicts(model.verdicts)),
  );
}

function story({ name, follows, registered, lineage, catalogue }) {
  const teacher = lineage?.teacher?.kind;
  return [
    `${name}, registered on ${day(registered)}`,
    /^\d+$/.test(follows) ? "pinned to this version" : `follows “${follows}”`,
    teacher ? `taught by a ${teacher} teacher` : null,
    `searches ${count(catalogue.products, "product")}`,
  ]
    .filter(Boolean)
    .join(", ") + ".";
}

function headline({ persona_percentile: own, base_persona_percentile: base }) {
  if (own == null) return null;
  const beside = base == null ? "" : ` (base ${percent(base)})`;
  return element("span", {}, `finds what an unseen person means: ${percent(own)}${beside}`);
}

function* measures(metrics) {
  const { persona_percentile, base_persona_percentile, caption_recall_at_10, concept_map } = metrics;
  const { held_out_percentile, base_held_out_percentile } = metrics;
  if (persona_percentile != null) {
    const rest =
      "of the catalogue ranks, on average, below what the teacher picks for a person it never saw";
    yield measure("Finds what an unseen person means", persona_percentile, rest, [
      ["Kindred", persona_percentile, "champion"],
      ["Base", base_persona_percentile, "base"],
      ["Chance", 0.5, "chance"],
    ]);
  }
  if (held_out_percentile != null) {
    const rest = "the same for kinds of wish that nobody in its training had";
    yield measure("Stays right for new wishes", held_out_percentile, rest, [
      ["Kindred", held_out_percentile, "champion"],
      ["Base", base_held_out_percentile, "base"],
    ]);
  }
  if (caption_recall_at_10 != null) {
    const rest = "of literal captions have their picture among the first ten";
    yield measure("Still reads words literally", caption_recall_at_10, rest);
  }
  if (concept_map != null) {
    const rest = "mean average precision for a thing of one's own, after three photos";
    yield measure("Knows a personal thing", concept_map, rest);
  }
}

function measure(title, share, rest, bars = []) {
  const known = bars.filter(([, value]) => value != null);
  return element(
    "div",
    { class: known.length ? "metric wide" : "metric" },
    element("dt", {}, title),
    element(
      "dd",
      {},
      element("strong", {}, percent(share)),
      ` ${rest}`,
      known.length ? element("ul", { class: "bars" }, ...known.map(bar)) : null,
    ),
  );
}

function bar([name, share, kind]) {
  const length = element("span", { class: "length" });
  length.style.width = percent(share).replace(" ", ""); // by script: the policy forbids style=""
  return element(
    "li",
    { class: kind },
    element("span", {}, name),
    element("span", { class: "bar", "aria-hidden": "true" }, length),
    element("span", { class: "number" }, percent(share)),
  );
}

function verdicts(all) {
  return Object.entries(all).map(([gate, verdict]) =>
    element(
      "li",
      { class: verdict },
      element("span", { "aria-hidden": "true" }, `${SIGNS[verdict] ?? "–"} `),
      `${GATES[gate] ?? gate} ${verdict}`,
    ),
  );
}
