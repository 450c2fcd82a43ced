// What answers here: the version, how good it is in plain words, and whether it passed its gates.

import { bar } from "./bars.js";
import { byId, element, fill, unseen } from "./dom.js";
import { count, day, percent } from "./words.js";

const SIGNS = { passed: "✓", failed: "✗", missing: "–" };
const GATES = { labels: "Teacher's labels", retrieval: "Retrieval" };

export function showAbout(model) {
  const { metrics, drift } = model;
  const version = numbered(model);
  const warning = drift?.warning;
  fill(
    byId("headline"),
    warning ? element("span", { class: "dot" }, unseen("A warning: ")) : null,
    element("strong", {}, `Version ${version}`),
    headline(metrics),
  );
  byId("about-title").textContent = `Version ${version} answers here`;
  fill(
    byId("about-body"),
    warning ? element("p", { class: "notice" }, warning) : null,
    element("p", { class: "lead" }, story(model)),
    element("dl", { class: "metrics" }, ...measures(metrics)),
    element("ul", { class: "verdicts", "aria-label": "Quality gates" }, ...verdicts(model.verdicts)),
    ...lineagePart(model),
  );
}

function numbered({ version, revision, revision_of: of }) {
  return revision ? `${version} (revision ${revision} of ${of})` : version;
}

function story({ name, follows, registered, lineage, catalogue }) {
  const teacher = lineage?.teacher?.kind;
  return [
    `${name}, registered on ${day(registered)}`,
    /^(\d+|nothing)$/.test(follows) ? "pinned to this version" : `follows “${follows}”`,
    teacher ? `taught by a ${teacher} teacher` : null,
    `searches ${count(catalogue.products, "product")}`,
  ]
    .filter(Boolean)
    .join(", ") + ".";
}

function headline({ persona_percentile: own, base_persona_percentile: base }) {
  if (own == null) return null;
  const beside = base == null ? "" : ` (base ${percent(base)})`;
  return element("span", { class: "says" }, `finds what an unseen person means: ${percent(own)}${beside}`);
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
      known.length ? element("ul", { class: "bars" }, ...known.map(([name, share, kind]) => bar(name, share, percent(share), kind))) : null,
    ),
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

// Where it comes from, as far as it is known.
function lineagePart({ lineage, bundle_sha256 }) {
  const { git, parent, prompts, stages, packages, python } = lineage ?? {};
  const changed = git?.clean === false ? ", with changes" : "";
  const facts = {
    Bundle: bundle_sha256.slice(0, 12),
    Commit: git?.commit && `${git.commit.slice(0, 12)}${changed}`,
    "Champion before": parent && `version ${parent}`,
    Prompts: prompts && Object.keys(prompts).join(", "),
    Stages: stages && Object.keys(stages).join(", "),
    Packages: packages && Object.entries(packages).map((one) => one.join(" ")).join(", "),
    Python: python,
  };
  const known = Object.entries(facts).filter(([, fact]) => fact);
  const rows = known.map(([name, fact]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, fact)),
  );
  return [element("h3", {}, "Where it comes from"), element("dl", { class: "lineage" }, ...rows)];
}
