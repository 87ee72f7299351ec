#!/usr/bin/env node
import { runCli } from "./cli.ts";
import type { Command, CommandGroup } from "./command.ts";
import { caCommands } from "./commands/ca.ts";
import { createRemoteSecretCommand } from "./commands/create-remote-secret.ts";
import { demoCommand } from "./commands/demo.ts";
import { explainCommand } from "./commands/explain.ts";
import { gatewayCommand } from "./commands/gateway.ts";
import { policiesCommand } from "./commands/policies.ts";
import { proxyStatusCommand } from "./commands/proxy-status.ts";
import { remoteClustersCommand } from "./commands/remote-clusters.ts";
import { serveCommand } from "./commands/serve.ts";
import { servicesCommand } from "./commands/services.ts";
import { tokenCommand } from "./commands/token.ts";
import { versionCommand } from "./commands/version.ts";
import { watchCommand } from "./commands/watch.ts";
import { workloadsCommand } from "./commands/workloads.ts";
import { whyNotNode } from "./runtime.ts";
import { systemClock, systemRandom } from "./system-host.ts";
import { VERSION } from "./version.ts";

/** In the order of the help. */
const commands: readonly (Command | CommandGroup)[] = [
  serveCommand(process.pid),
  gatewayCommand,
  demoCommand(process.pid),
  tokenCommand,
  workloadsCommand,
  servicesCommand,
  policiesCommand,
  explainCommand,
  proxyStatusCommand,
  remoteClustersCommand,
  createRemoteSecretCommand,
  caCommands({ clock: systemClock, random: systemRandom }),
  watchCommand(systemClock),
  versionCommand,
];

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

const exitCode = await runCli(
  {
    commands,
    version: VERSION,
    clock: systemClock,
    printer: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
    },
    environment: process.env,
    interrupted: interrupt.signal,
  },
  process.argv.slice(2),
);
// What a command left open must not keep it running; what it printed must arrive.
process.exitCode = exitCode;
process.stdout.write("", () => process.stderr.write("", () => process.exit()));
