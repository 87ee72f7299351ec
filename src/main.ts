#!/usr/bin/env node
import { runCli } from "./cli.ts";
import { calledCommands } from "./commands/called.ts";
import { whyNotNode } from "./runtime.ts";
import { systemClock } from "./system-host.ts";
import { terminalOf } from "./terminal.ts";
import { VERSION } from "./version.ts";

const oldNode = whyNotNode(process.versions.node);
if (oldNode !== undefined) {
  process.stderr.write(`causeway: ${oldNode}\n`);
  process.exit(2);
}

const interrupt = new AbortController();
for (const [name, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.on(name, () => {
    if (interrupt.signal.aborted) process.exit(code);
    interrupt.abort(name);
  });
// Whoever read our output is gone, as in `causeway watch wds | head`: nothing more to do.
process.stdout.on("error", () => interrupt.abort("SIGPIPE"));
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
    terminal: terminalOf(process.stdout, process.stderr, process.env),
    environment: process.env,
    interrupted: interrupt.signal,
  },
  words,
);
// What a command left open must not keep it running; what it printed must arrive.
process.exitCode = exitCode;
process.stdout.write("", (error?: NodeJS.ErrnoException | null) => {
  // A disk that is full is to be heard of; a reader that is gone wanted no more.
  if (error && error.code !== "EPIPE") {
    process.stderr.write(`causeway: what it printed could not be written: ${error.message}\n`);
    process.exitCode = 2;
  }
  process.stderr.write("", () => process.exit());
});
