// Answers that belong together: a description of the model and hits in one or two columns, all by
// the same version, even while another one takes over.

import { getModel, search } from "./api.js";
import { Problem } from "./http.js";

const TRIES = 3; // each costs a swap in the same instant; more of them would be a fault

// `known` is a description that may be out of date, or null; `part` says which hits.
export async function consistentAnswers(state, known, signal, part = {}) {
  let described = known ?? (await getModel(signal));
  for (let tried = 0; tried < TRIES; tried++) {
    const models = state.compare ? ["base", "champion"] : ["champion"];
    const all = models.map((model) => search(state, { ...part, model }, signal));
    const answers = await Promise.all(all);
    if (answers.every((answer) => answer.bundle_sha256 === described.bundle_sha256)) {
      return { described, answers };
    }
    described = await getModel(signal);
  }
  throw new Problem("The service is changing versions. Try again in a moment.");
}
