import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import type { Bench, Measurement } from "./bench.ts";
import { bench as csr } from "./csr.ts";
import { bench as edit } from "./edit.ts";
import { bench as fanout } from "./fanout.ts";
import { bench as gateway } from "./gateway.ts";
import { bench as kernel } from "./kernel.ts";
import { bench as kubernetes } from "./kubernetes.ts";
import { bench as load } from "./load.ts";
import { bench as log } from "./log.ts";
import { bench as memory } from "./memory.ts";
import { bench as peers } from "./peers.ts";
import { bench as reconnect } from "./reconnect.ts";
import { bench as reflector } from "./reflector.ts";
import { bench as snapshot } from "./snapshot.ts";

const benches: readonly Bench[] = [
  kernel,
  load,
  log,
  snapshot,
  fanout,
  reconnect,
  edit,
  csr,
  memory,
  reflector,
  kubernetes,
  peers,
  gateway,
];

/** One takes ten minutes and a Go toolchain, one two minutes and a gigabyte, one an Envoy: they run only when they are named. */
const ONLY_BY_NAME: readonly Bench[] = [kubernetes, peers, gateway];

const usage = `usage: npm run bench -- [NAME ...] [--output json]\nbenches: ${benches.map(({ name }) => name).join(", ")}`;

function print({ name, value, unit, limit, ratio }: Measurement): void {
  const number = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : n.toPrecision(3));
  console.log(
    `${name.padEnd(44)} ${number(value).padStart(10)} ${unit.padEnd(14)} limit ${number(limit).padStart(10)}  ratio ${ratio.toFixed(2)}`,
  );
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { output: { type: "string", short: "o" } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0 || (values.output !== undefined && values.output !== "json")) {
    console.error(unknown.length > 0 ? `no bench named ${unknown.join(", ")}\n${usage}` : usage);
    return 64;
  }
  const chosen = benches.filter((bench) =>
    positionals.length === 0 ? !ONLY_BY_NAME.includes(bench) : positionals.includes(bench.name),
  );
  const [only] = chosen;
  if (chosen.length > 1 || only === undefined) return inTurn(chosen, process.argv.slice(2));
  const json = values.output === "json";
  await only.run((measurement) => (json ? console.log(JSON.stringify(measurement)) : print(measurement)));
  return 0;
}

/** Each in a process of its own: a heap that another left behind made certificates a tenth slower. */
function inTurn(chosen: readonly Bench[], words: readonly string[]): number {
  const flags = words.filter((word) => !benches.some(({ name }) => name === word));
  for (const { name } of chosen) {
    const { status } = spawnSync(process.execPath, ["--expose-gc", import.meta.filename, name, ...flags], {
      stdio: "inherit",
    });
    if (status !== 0) return status ?? 2;
  }
  return 0;
}

// Connections that a bench left to itself must not keep the process.
process.exit(await main());
