import { parseArgs } from "node:util";
import { simulateClusters } from "../plane/cluster-simulation.ts";
import { simulatePeers } from "./peers/simulation.ts";
import { simulateReflectors } from "./reflector-simulation.ts";
import { simulate } from "./simulation.ts";

/** Each takes a seed, throws if the world ends wrong, and tells how much happened in it. */
const simulations: Readonly<Record<string, (seed: number) => object | Promise<object>>> = {
  mesh: simulate,
  reflectors: simulateReflectors,
  clusters: simulateClusters,
  peers: simulatePeers,
};

const { values, positionals } = parseArgs({
  options: { seed: { type: "string" }, seeds: { type: "string", default: "1000" } },
  allowPositionals: true,
});
const first = Number(values.seed ?? 1);
const last = values.seed === undefined ? Number(values.seeds) : first;
const names = positionals.length > 0 ? positionals : Object.keys(simulations);
const known = names.every((name) => Object.hasOwn(simulations, name));
if (!known || !Number.isInteger(first) || !Number.isInteger(last) || last < first) {
  console.error(
    `usage: npm run sim -- [NAME ...] [--seed N | --seeds COUNT]\nsimulations: ${Object.keys(simulations).join(", ")}`,
  );
  process.exit(64);
}
let failed = 0;
for (const name of names)
  for (let seed = first; seed <= last; seed++)
    try {
      const tally = await simulations[name]!(seed);
      if (values.seed !== undefined) console.log(`${name}, seed ${seed}:`, tally);
    } catch (error) {
      failed += 1;
      console.error(error);
    }
console.log(`${last - first + 1} seeds of ${names.join(", ")}: ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
