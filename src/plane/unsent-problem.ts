import type { Problem } from "../registry/model/problem.ts";
import type { Refusal } from "../xds/publisher.ts";

/** What could not be encoded, for the list of all problems. */
export const unsentProblem = ({ name, reason }: Refusal): Problem => ({
  object: name,
  origin: "",
  field: "",
  message: `It keeps its last good state: ${reason}.`,
  severity: "error",
});
