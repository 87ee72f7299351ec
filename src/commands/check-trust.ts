import { stringify } from "yaml";
import { type Command, type CommandCall, type Flag, listOption, textOption } from "../command.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../host.ts";
import { printable } from "../printable.ts";
import type { RelayView } from "../relay/relay-view.ts";
import { hostAndPortOf } from "../settings.ts";
import { checkedAdminUrl, fetchPage } from "./admin-client.ts";
import { readConnection } from "./connection.ts";
import { probeGateway } from "./gateway-probe.ts";
import { OUTPUT_FLAG } from "./output.ts";
import { chainChecks } from "./trust-chain-checks.ts";
import type { ManagerFacts, PlaneFacts, TrustFacts } from "./trust-facts.ts";
import type { TrustFinding } from "./trust-finding.ts";
import { gatewayChecks } from "./trust-gateway-checks.ts";
import { managerChecks } from "./trust-manager-checks.ts";
import { relayChecks } from "./trust-relay-checks.ts";
import { isTrustView } from "./trust-status.ts";

const FLAGS: readonly Flag[] = [
  { flags: "--admin <url>", description: "admin port of a control plane; may be repeated", repeated: true },
  {
    flags: "--state <dir>",
    description: "where a control plane on this machine says how to reach it; may be repeated; .causeway by default",
    repeated: true,
  },
  { flags: "--gateway <address>", description: "what is presented at host:port; may be repeated", repeated: true },
  { flags: "--manager <url>", description: "admin port of the trust manager" },
  { flags: "--manager-state <dir>", description: "where a trust manager on this machine says how to reach it" },
];
const LINE_CHARACTERS_MAX = 2_000;

/** `causeway check trust`: guide 004's list of the day after, as one command; 1 if one of it is an error. */
export const checkTrustCommand = (clock: Pick<Clock, "now">): Command => ({
  name: "trust",
  summary: "the relay, what signs in each cluster, its chain, what gateways present; exit code 1 for an error",
  flags: [OUTPUT_FLAG, ...FLAGS],
  async run(call) {
    const { options, printer } = call;
    const findings = trustFindings(await factsFor(call, clock));
    const shown = findings.map((finding) => ({
      ...finding,
      documentation: `docs/trust-checks.md#${finding.code.toLowerCase()}`,
    }));
    if (options["output"] === "json") printer.out(`${JSON.stringify(shown, undefined, 2)}\n`);
    else if (options["output"] === "yaml") printer.out(stringify(shown, { aliasDuplicateObjects: false }));
    else printer.out(findingsText(findings));
    return findings.some(({ level }) => level === "error") ? 1 : 0;
  },
});

export const trustFindings = (facts: TrustFacts): readonly TrustFinding[] => [
  ...relayChecks(facts),
  ...chainChecks(facts),
  ...gatewayChecks(facts),
  ...managerChecks(facts),
];

export function findingsText(findings: readonly TrustFinding[]): string {
  const lines = findings.flatMap(({ code, level, object, evidence, fix }) => [
    `${level.padEnd("warning".length)}  ${code}  ${object}: ${evidence}`,
    ...(fix === "" ? [] : [`${" ".repeat("warning".length)}  ${" ".repeat(code.length)}  fix: ${fix}`]),
  ]);
  return lines.map((line) => `${printable(line, LINE_CHARACTERS_MAX)}\n`).join("");
}

async function factsFor(call: CommandCall, clock: Pick<Clock, "now">): Promise<TrustFacts> {
  const { options, signal } = call;
  const admins = listOption(options, "admin").map((url) => checkedAdminUrl("--admin", url));
  const states = listOption(options, "state");
  const folders = admins.length + states.length === 0 ? [".causeway"] : states;
  const gateways = listOption(options, "gateway").map((text) =>
    hostAndPortOf({ text, from: "--gateway" }, "10.0.0.1:15008"),
  );
  const planes = [
    ...admins.map((url) => planeAt(url, () => Promise.resolve(url), signal)),
    ...folders.map((dir) => planeAt(dir, () => adminIn(dir), signal)),
  ];
  const [found, presented, manager] = await Promise.all([
    Promise.all(planes),
    Promise.all(gateways.map((gateway) => probeGateway(gateway, signal))),
    managerFor(call),
  ]);
  return { now: clock.now(), planes: found, gateways: presented, manager };
}

const adminIn = async (dir: string): Promise<string> => (await readConnection(dir)).admin;

async function planeAt(where: string, admin: () => Promise<string>, signal: AbortSignal): Promise<PlaneFacts> {
  try {
    const relay = await fetchPage(await admin(), "/debug/relayz", signal);
    return isRelayView(relay) ? { where, relay } : { where, why: "its page relayz says nothing of a relay" };
  } catch (thrown) {
    return { where, why: messageOf(thrown) };
  }
}

async function managerFor({ options, signal }: CommandCall): Promise<ManagerFacts | undefined> {
  const [url, dir] = [textOption(options, "manager"), textOption(options, "managerState")];
  const where = url ?? dir;
  if (where === undefined) return undefined;
  if (url !== undefined) checkedAdminUrl("--manager", url);
  try {
    const view = await fetchPage(url ?? (await adminIn(where)), "/debug/trustz", signal);
    return isTrustView(view) ? { where, view } : { where, why: "it is no trust manager" };
  } catch (thrown) {
    return { where, why: messageOf(thrown) };
  }
}

const isRelayView = (answer: unknown): answer is RelayView =>
  typeof answer === "object" &&
  answer !== null &&
  "cluster" in answer &&
  "state" in answer &&
  ["waits", "problems", "restarts"].every((key) => Array.isArray((answer as Record<string, unknown>)[key]));
