// "Yours": the concepts that one has taught, to be put into a query.

import { listConcepts } from "./api.js";
import { byId, element, icon, unseen } from "./dom.js";
import { openMine, watchMine } from "./mine.js";
import { say } from "./notices.js";
import { openTeach, watchTeach } from "./teach.js";
import { sentence } from "./words.js";

const shelf = byId("concepts");
let concepts = [];

// `use` puts a name into the query.
export function watchShelf(use) {
  byId("teach-open").addEventListener("click", () => openTeach());
  shelf.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const concept = concepts.find(({ name }) => name === button.value);
    if (button.classList.contains("use")) use(concept.name);
    else openMine(concept);
  });
  watchMine(
    (concept) => use(concept.name),
    async ({ name }) => {
      await loadShelf();
      byId("teach-open").focus();
      say(`“${name}” is forgotten.`);
    },
  );
  watchTeach(async ({ name, warnings = [] }) => {
    await loadShelf();
    chipOf(name)?.focus();
    say([`“${name}” is learned: write {${name}} in a query.`, ...warnings.map(sentence)].join(" "));
  });
}

// Also what another window, or a call that was given up, has changed.
export async function loadShelf() {
  let found;
  try {
    found = await listConcepts();
  } catch {
    return; // a search will tell; what was there can still be clicked
  }
  if (JSON.stringify(found) === JSON.stringify(concepts)) return;
  concepts = found;
  const focused = document.activeElement?.closest?.("#concepts button");
  shelf.replaceChildren(...concepts.map(chip));
  byId("shelf").classList.toggle("empty", concepts.length === 0);
  if (focused) [...shelf.querySelectorAll("button")].find((one) => isSame(one, focused))?.focus();
}

const isSame = (one, other) => one.value === other.value && one.className === other.className;
const chipOf = (name) => [...shelf.querySelectorAll(".use")].find((one) => one.value === name);

function chip({ name, photos, problem }) {
  const attributes = { type: "button", value: name };
  return element(
    "li",
    { class: problem ? "mine troubled" : "mine" },
    element(
      "button",
      { ...attributes, class: "use", title: problem || `Put {${name}} into the query` },
      element("img", { src: photos[0], alt: "", width: 32, height: 32 }),
      element("span", { class: "name", dir: "auto" }, name),
      problem ? unseen(", cannot be used now") : null,
    ),
    element("button", { ...attributes, class: "about-it", title: "Photos, forget" }, icon("more"), unseen(`About ${name}`)),
  );
}
