import type { Command, CommandGroup } from "../command.ts";
import { systemClock, systemRandom } from "../system-host.ts";

type Entry = Command | CommandGroup;

/** In the order of the help. A gateway's agent, in each of its pods, must not take the memory of what it never calls. */
const LOADERS: Readonly<Record<string, (pid: number) => Promise<Entry>>> = {
  serve: async (pid) => (await import("./serve.ts")).serveCommand(pid),
  gateway: async () => (await import("./gateway.ts")).gatewayCommand,
  demo: async (pid) => (await import("./demo.ts")).demoCommand(pid),
  token: async () => (await import("./token.ts")).tokenCommand,
  workloads: async () => (await import("./workloads.ts")).workloadsCommand,
  services: async () => (await import("./services.ts")).servicesCommand,
  policies: async () => (await import("./policies.ts")).policiesCommand,
  explain: async () => (await import("./explain.ts")).explainCommand,
  multicluster: async () => (await import("./multicluster.ts")).multiclusterCommands,
  analyze: async () => (await import("./analyze.ts")).analyzeCommand(systemClock),
  "proxy-status": async () => (await import("./proxy-status.ts")).proxyStatusCommand,
  "remote-clusters": async () => (await import("./remote-clusters.ts")).remoteClustersCommand,
  "create-remote-secret": async () => (await import("./create-remote-secret.ts")).createRemoteSecretCommand,
  ca: async () => (await import("./ca.ts")).caCommands({ clock: systemClock, random: systemRandom }),
  trust: async (pid) => (await import("./trust.ts")).trustCommands({ clock: systemClock, random: systemRandom }, pid),
  check: async () => (await import("./check.ts")).checkCommands(systemClock),
  spire: async () => (await import("./spire.ts")).spireCommands,
  watch: async () => (await import("./watch.ts")).watchCommand(systemClock),
  completion: async (pid) =>
    (await import("./completion.ts")).completionCommand(() =>
      Promise.all(Object.values(LOADERS).map((load) => load(pid))),
    ),
  request: async () => (await import("./request.ts")).requestCommand,
  "bug-report": async () => (await import("./bug-report.ts")).bugReportCommand(systemClock),
  replay: async (pid) => (await import("./replay.ts")).replayCommand(pid),
  version: async () => (await import("./version.ts")).versionCommand,
};

/**
 * The command that the first word of a command line names; all of them if it names none, as for help, or for a word that
 * is to be guessed. With its subject it is loaded only here.
 */
export function calledCommands(words: readonly string[], pid: number): Promise<readonly Entry[]> {
  const [word = ""] = words;
  const called = Object.hasOwn(LOADERS, word) ? [LOADERS[word]!] : Object.values(LOADERS);
  return Promise.all(called.map((load) => load(pid)));
}
