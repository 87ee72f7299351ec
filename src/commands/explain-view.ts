import type { Config } from "../config.ts";
import { explain } from "../explain/explain.ts";
import type { Explanation, ExplainFacts, PeerReader } from "../explain/explanation.ts";
import type { PeerView } from "../peering/opened-peer.ts";
import type { PeerClients } from "../plane/peer-serving.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import { FSDS_TYPE } from "../xds/resource.ts";

/** What of a control plane an explanation is made of. */
export interface ExplainViewed {
  readonly registry: Registry;
  readonly config: Pick<Config, "manifests">;
  clients(): readonly ClientStatus[];
  peers(): readonly PeerView[];
  peerClients(): PeerClients;
  problems(): readonly Problem[];
}

/**
 * The page: `?host=cart.shop.mesh.internal`, `&from=ns/pod`, `&principal=spiffe://…`. Without a host the global names that
 * there are. @throws MeshError as `explain` does.
 */
export function explainView(
  viewed: ExplainViewed,
  query: URLSearchParams,
): Explanation | { readonly hosts: readonly string[] } {
  const asked = (name: string): string => query.get(name) ?? "";
  if (asked("host") === "") {
    const hosts = viewed.registry.globalCandidates.hosts().map((name) => name.slice(name.indexOf("/") + 1));
    return { hosts: [...new Set(hosts)] };
  }
  return explain({ host: asked("host"), from: asked("from"), principal: asked("principal") }, factsOf(viewed));
}

function factsOf(viewed: ExplainViewed): ExplainFacts {
  const { served, refused } = viewed.peerClients();
  const clients = viewed.clients();
  return {
    registry: viewed.registry,
    peers: viewed.peers(),
    readers: served.map(({ cluster, identity, granted, node }) => ({
      ...{ cluster, identity, granted },
      ...acknowledgement(clients, cluster, node),
    })),
    refused,
    problems: viewed.problems(),
    manifests: new Map(
      viewed.config.manifests.flatMap((each) => (each.observed === true ? [] : [[each.cluster, each]])),
    ),
  };
}

/** Whether a peer has taken all of the services that it was sent; of several streams the one that is behind counts. */
function acknowledgement(
  clients: readonly ClientStatus[],
  cluster: string,
  node: string,
): Pick<PeerReader, "acknowledged" | "ackedAt"> {
  const subscriptions = clients
    .filter((client) => client.cluster === cluster && client.node?.id.split("~")[2] === node)
    .flatMap((client) => client.subscriptions.filter(({ typeUrl }) => typeUrl === FSDS_TYPE));
  return {
    acknowledged:
      subscriptions.length > 0 &&
      subscriptions.every(
        ({ backlog, sentNonce, ackedNonce }) => backlog === 0 && sentNonce !== "" && sentNonce === ackedNonce,
      ),
    ackedAt: Math.max(0, ...subscriptions.map(({ ackedAt }) => ackedAt)),
  };
}
