import type { Bench } from "./bench.ts";
import { importsOf500 } from "./peers/imports.ts";

/** Control planes that read each other (contract peering.md 2.16). */
export const bench: Bench = {
  name: "peers",
  async run(report) {
    await importsOf500(report);
  },
};
