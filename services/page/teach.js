// The dialog in which one teaches: photos, a name, what kind of thing it is; or more photos of one
// that is there. What was typed stays until it is learned.

import { addPhotos, teach } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, element, fill, own } from "./dom.js";
import { broughtPhotos, clearPhotos, watchPhotos } from "./photos.js";
import { count } from "./words.js";

const dialog = byId("teach");
const form = byId("teach-form");
const fields = byId("teach-fields");
const name = byId("concept-name");
const noun = byId("concept-noun");
const fault = byId("teach-fault");
const progress = byId("teach-progress");

let existing = null; // the concept that gets more photos
let learning = null;
let done = () => {};

// `learned` gets what the service says of a concept that it has just learned.
export function watchTeach(learned) {
  done = learned;
  watchPhotos((words) => fill(fault, words || null));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    learn();
  });
  dialog.addEventListener("close", () => learning?.abort());
}

export function openTeach(concept = null) {
  if (existing !== concept) clearPhotos(); // of another thing
  existing = concept;
  const heading = concept ? ["More photos of ", own(concept.name)] : ["Teach it something of yours"];
  fill(byId("teach-title"), ...heading);
  byId("teach-names").hidden = name.disabled = noun.disabled = concept != null;
  byId("teach-go").textContent = concept ? "Learn again" : "Teach";
  fill(fault);
  openDialog(dialog);
}

async function learn() {
  const photos = broughtPhotos();
  if (photos.length === 0) {
    fill(fault, "Choose at least one photo of it.");
    byId("choose").focus();
    return;
  }
  const { signal } = (learning = new AbortController());
  const called = existing?.name ?? name.value.trim();
  show(["Learning ", own(called), ` from ${count(photos.length, "photo")}…`]);
  try {
    const learned = existing
      ? await addPhotos(existing.name, photos, signal)
      : await teach(called, noun.value.trim(), photos, signal);
    forgetTyped();
    dialog.close();
    await done(learned);
  } catch (error) {
    if (!signal.aborted) fill(fault, error.message);
  } finally {
    if (learning?.signal === signal) show([]);
  }
}

// What is said while it learns; [] when it does not.
function show(words) {
  fields.disabled = words.length > 0;
  fill(progress, ...words.length ? [element("span", { class: "run" }), element("p", {}, ...words)] : []);
  if (words.length) fill(fault);
}

function forgetTyped() {
  clearPhotos();
  form.reset();
}
