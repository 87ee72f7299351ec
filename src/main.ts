#!/usr/bin/env node
import { runCli } from "./cli.ts";
import { calledCommands } from "./commands/called.ts";
import { whyNotNode } from "./runtime.ts";
import { systemClock } from "./system-host.ts";
import { VERSION } from "./version.ts";

const oldNode = whyNotNode(process.versions.node);
if (oldNode !== undefined) {
  process.stderr.write(`causeway: ${oldNode}\n`);
  process.exit(2);
}

const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(2);
    interrupt.abort();
  });
// Whoever read our output is gone, as in `causeway watch wds | head`: nothing more to do.
process.stdout.on("error", () => interrupt.abort());
process.stderr.on("error", () => {});

const words = process.argv.slice(2);
const exitCode = await runCli(
  {
    commands: await calledCommands(words, process.pid),
    version: VERSION,
    clock: systemClock,
    printer: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
    },
    terminal: {
      columns: process.stdout.isTTY ? process.stdout.columns : undefined,
      colour: process.stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "",
      progress: process.stderr.isTTY,
    },
    environment: process.env,
    interrupted: interrupt.signal,
  },
  words,
);
// What a command left open must not keep it running; what it printed must arrive.
process.exitCode = exitCode;
process.stdout.write("", () => process.stderr.write("", () => process.exit()));
