import type { Bench } from "./bench.ts";
import { exportsTo500 } from "./peers/exports.ts";
import { importsOf500 } from "./peers/imports.ts";
import { meshOfTen } from "./peers/mesh-of-ten.ts";

/** Control planes that read each other (contract peering.md 2.16). */
export const bench: Bench = {
  name: "peers",
  async run(report) {
    await meshOfTen(report);
    await exportsTo500(report);
    await importsOf500(report);
  },
};
