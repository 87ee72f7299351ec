import { spire } from "../../proto/gen/mesh.js";

/** Paths of the methods of SPIRE's server and of its agent. */
export const PATH = {
  mint: "/spire.api.server.svid.v1.SVID/MintX509SVID",
  downstream: "/spire.api.server.svid.v1.SVID/NewDownstreamX509CA",
  bundle: "/spire.api.server.bundle.v1.Bundle/GetBundle",
  federated: "/spire.api.server.bundle.v1.Bundle/ListFederatedBundles",
  list: "/spire.api.server.entry.v1.Entry/ListEntries",
  create: "/spire.api.server.entry.v1.Entry/BatchCreateEntry",
  update: "/spire.api.server.entry.v1.Entry/BatchUpdateEntry",
  delete: "/spire.api.server.entry.v1.Entry/BatchDeleteEntry",
  agents: "/spire.api.server.agent.v1.Agent/ListAgents",
  workload: "/SpiffeWorkloadAPI/FetchX509SVID",
  workloadBundles: "/SpiffeWorkloadAPI/FetchX509Bundles",
  delegated: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509SVIDs",
  delegatedBundles: "/spire.api.agent.delegatedidentity.v1.DelegatedIdentity/SubscribeToX509Bundles",
} as const;

export const mintRequest = (csr: Uint8Array, ttl = 0): Uint8Array =>
  spire.MintX509SvidRequest.encode({ csr, ttl }).finish();
