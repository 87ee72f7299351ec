import type { EpochMs } from "../host.ts";
import type { SpireAgent } from "./spire.ts";

/** Which agent speaks for a node, by the node's name and by its uid (contract identity.md 1.5). */
export interface NodeAgents {
  readonly byName: ReadonlyMap<string, string>;
  readonly byUid: ReadonlyMap<string, string>;
}

/** What the selector of an agent's node begins with. */
export const NODE_NAME = "k8s_psat:agent_node_name:";
const NODE_UID = "k8s_psat:agent_node_uid:";

/**
 * Agents of `cluster` that the attestor k8s_psat knows: by their selectors, or by their ids, which end in the node's uid.
 * One that is banned or expired speaks for nobody; of several for a node the one that was attested last does.
 */
export function nodeAgents(agents: readonly SpireAgent[], cluster: string, nowMs: EpochMs): NodeAgents {
  const byName = new Map<string, string>();
  const byUid = new Map<string, string>();
  const oldestFirst = agents
    .filter((agent) => isLive(agent, nowMs))
    .sort((a, b) => a.expiresAt - b.expiresAt || (a.id < b.id ? -1 : 1));
  for (const { id, selectors } of oldestFirst) {
    const path = new RegExp(`^spiffe://[^/]+/spire/agent/k8s_psat/${escaped(cluster)}/([^/]+)$`).exec(id);
    if (path === null && !selectors.includes(`k8s_psat:cluster:${cluster}`)) continue;
    for (const selector of selectors) {
      if (selector.startsWith(NODE_NAME)) byName.set(selector.slice(NODE_NAME.length), id);
      if (selector.startsWith(NODE_UID)) byUid.set(selector.slice(NODE_UID.length), id);
    }
    if (path !== null) byUid.set(path[1]!, id);
  }
  return { byName, byUid };
}

/** One that is banned or has expired speaks for nobody. */
export const isLive = ({ banned, expiresAt }: SpireAgent, now: EpochMs): boolean => !banned && expiresAt > now;

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
