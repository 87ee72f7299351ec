import Long from "long";
import { spire } from "../../../proto/gen/mesh.js";
import type { SpireAgent } from "../../spire/spire.ts";
import type { Faults } from "./faults.ts";
import { parseSpiffeId } from "./identity.ts";
import { pageOf } from "./page.ts";
import type { ServerMethod } from "./server-call.ts";

/** Says which nodes have proven themselves. */
export class AgentService {
  readonly #agents: () => readonly SpireAgent[];
  readonly #faults: () => Faults;

  constructor(agents: () => readonly SpireAgent[], faults: () => Faults) {
    this.#agents = agents;
    this.#faults = faults;
  }

  methods(): readonly ServerMethod[] {
    const path = "/spire.api.server.agent.v1.Agent/ListAgents";
    return [{ path, roles: ["local", "admin"], call: (bytes) => this.#list(bytes) }];
  }

  #list(bytes: Uint8Array): Uint8Array {
    const { pageSize, pageToken } = spire.ListAgentsRequest.decode(bytes);
    const all = [...this.#agents()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const page = pageOf(all, ({ id }) => id, { pageSize, pageToken }, this.#faults());
    return spire.ListAgentsResponse.encode({ agents: page.items.map(toMessage), nextPageToken: page.next }).finish();
  }
}

const toMessage = ({ id, attestationType, selectors, banned, expiresAt }: SpireAgent): spire.IAgent => ({
  id: parseSpiffeId(id),
  attestationType,
  x509svidExpiresAt: Long.fromNumber(Math.floor(expiresAt / 1000)),
  selectors: selectors.map((selector) => {
    const at = selector.indexOf(":");
    return { type: selector.slice(0, at), value: selector.slice(at + 1) };
  }),
  banned,
});

/** An agent as the attestor k8s_psat has it, on a node of a cluster (contract identity.md 1.5). */
export function k8sAgent(trustDomain: string, cluster: string, node: string, expiresAt: number): SpireAgent {
  const uid = `uid-of-${node}`;
  return {
    id: `spiffe://${trustDomain}/spire/agent/k8s_psat/${cluster}/${uid}`,
    attestationType: "k8s_psat",
    selectors: [
      `k8s_psat:cluster:${cluster}`,
      `k8s_psat:agent_ns:spire`,
      `k8s_psat:agent_sa:spire-agent`,
      `k8s_psat:agent_node_name:${node}`,
      `k8s_psat:agent_node_uid:${uid}`,
    ],
    banned: false,
    expiresAt,
  };
}
