import { clusterId } from "../../src/names.ts";
import type { Bearer, PodFacts } from "../../src/ca/signer.ts";
import type { SpireAgent, SpireEntry } from "../../src/spire/spire.ts";

export const trustDomain = "cluster.local";
export const SERVER = `spiffe://${trustDomain}/spire/server`;
export const CART = `spiffe://${trustDomain}/ns/shop/sa/cart`;
export const east = clusterId("east");

export const agentOn = (node: string, more: Partial<SpireAgent> = {}): SpireAgent => ({
  id: `spiffe://${trustDomain}/spire/agent/k8s_psat/prod-east/uid-${node}`,
  attestationType: "k8s_psat",
  selectors: ["k8s_psat:cluster:prod-east", `k8s_psat:agent_node_name:${node}`, `k8s_psat:agent_node_uid:uid-${node}`],
  banned: false,
  expiresAt: Number.MAX_SAFE_INTEGER,
  ...more,
});

export const entryFor = (more: Partial<SpireEntry> = {}): SpireEntry => ({
  id: "cart-n1",
  spiffeId: CART,
  parentId: agentOn("n1").id,
  selectors: ["k8s:ns:shop", "k8s:sa:cart"],
  x509SvidTtlSeconds: 0,
  federatesWith: [],
  admin: false,
  downstream: false,
  expiresAt: undefined,
  dnsNames: [],
  hint: "",
  ...more,
});

export const podNamed = (name: string, labels: Readonly<Record<string, string>> = {}): PodFacts => ({
  namespace: "shop",
  name,
  uid: `uid-${name}`,
  node: "n1",
  serviceAccount: "cart",
  labels: new Map(Object.entries(labels)),
});

export const bearerOf = (first: PodFacts, ...more: readonly PodFacts[]): Bearer => ({
  cluster: east,
  node: "n1",
  pods: [first, ...more],
});
