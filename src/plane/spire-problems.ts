import type { Config } from "../config.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { IdentityMode } from "../spire-config.ts";
import type { AgentStatus } from "../spire/agent-api.ts";
import { problemsOf } from "./authority-source.ts";

export interface SpireSeen {
  /** Why the server's bundles could not be had. */
  readonly server: readonly string[];
  /** Undefined if no agent is followed. */
  readonly agent: AgentStatus | undefined;
  /** Of our own trust domain. */
  readonly knowsRoots: boolean;
}

/** What is wrong between us and SPIRE, and what that does to workloads. */
export function spireProblems({ spire, trustDomain, rootConfigMap }: Config, seen: SpireSeen): readonly Problem[] {
  const { identity, server, agentSocket } = spire;
  if (identity === "mesh") return [];
  const faults = [...new Set(seen.server)].map((why) => fault("error", `${why}. ${WITHOUT_SERVER[identity]}`));
  const { agent } = seen;
  const agentFaults = agent?.error === undefined ? [] : [fault("error", `${agent.error}. ${WITHOUT_AGENT}`)];
  const blind = server === undefined && agentSocket === undefined;
  const unknown = blind
    ? `Nobody here knows SPIRE's roots, so whoever shows an SVID of SPIRE's is refused: name its agent with --spire-agent, or its server with --spire-server.`
    : `SPIRE's bundle of trust domain ${trustDomain} is not known yet, so no roots are published: ConfigMap ${rootConfigMap} stays as it is, and whoever shows an SVID of SPIRE's is refused.`;
  return [
    ...problemsOf("SPIRE's server", faults),
    ...problemsOf("SPIRE's agent", agentFaults),
    ...problemsOf("SPIRE's roots", seen.knowsRoots ? [] : [fault("warning", unknown)]),
  ];
}

const fault = (severity: "error" | "warning", message: string) => ({ severity, message });

const STANDING = "Certificates that were issued are good until they end, and discovery is served on.";
const WITHOUT_SERVER: Readonly<Record<Exclude<IdentityMode, "mesh">, string>> = {
  spire: `Until it answers no workload gets a certificate. ${STANDING}`,
  "spire-downstream": `Its authority signs for workloads as long as it is good. ${STANDING}`,
  external: `Roots stay as they are. ${STANDING}`,
};
const WITHOUT_AGENT = `Until it answers our own identity and the roots that it told stay as they are. ${STANDING}`;
