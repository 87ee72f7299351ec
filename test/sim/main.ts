import { parseArgs } from "node:util";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({ options: { seed: { type: "string" }, seeds: { type: "string", default: "1000" } } });
const first = Number(values.seed ?? 1);
const last = values.seed === undefined ? Number(values.seeds) : first;
if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) {
  console.error("usage: npm run sim -- [--seed N | --seeds COUNT]");
  process.exit(64);
}
let failed = 0;
for (let seed = first; seed <= last; seed++)
  try {
    const tally = simulate(seed);
    if (values.seed !== undefined) console.log(`seed ${seed}:`, tally);
  } catch (error) {
    failed += 1;
    console.error(error);
  }
console.log(`${last - first + 1} seeds, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
