import { bundleChecks } from "./bundle-checks.ts";
import type { SpireCheck } from "./check.ts";
import { connectionChecks } from "./connection-checks.ts";
import { entryChecks } from "./entry-checks.ts";
import type { SpireFacts } from "./facts.ts";

/** Whatever has to be so between a mesh and SPIRE, each with what was seen and what mends it; causes before what follows from them. */
export const spireChecks = (facts: SpireFacts): readonly SpireCheck[] => [
  ...connectionChecks(facts),
  ...bundleChecks(facts),
  ...entryChecks(facts),
];
